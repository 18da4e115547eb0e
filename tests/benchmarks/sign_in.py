"""Measures signing in with password and one-time code in this process; the CPU time includes the test client's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pyotp

from sifilma.kernel.db import db
from tests.benchmarks import machine
from tests.benchmarks.table import Line
from tests.support.counting import counted
from tests.support.world import PASSWORD, Client, World, done

COUNT = 30
NAME = "magetan.staf"


def run(world: World) -> list[Line]:
    """Measure the CPU of each step and the statements of an OTP check."""
    password_ms, code_ms, statements = [], [], 0
    with world.app.app_context():
        engine = db.engine
    for _ in range(COUNT):
        world.clock.advance(seconds=60)
        client = world.anonymous()
        spent, cookie = _timed(lambda client=client: _password(client))  # type: ignore[misc]  # mypy cannot infer the default
        password_ms.append(spent)
        code = pyotp.TOTP(world.seeds[NAME]).at(world.clock.now())
        signed = Client(world, {"Cookie": cookie})
        with counted(engine) as found:
            spent, _ = _timed(lambda signed=signed, code=code: str(done(signed.post("/session/otp", {"code": code}))))  # type: ignore[misc]  # as above
        code_ms.append(spent)
        statements = len(found.statements)
    otp = statistics.median(code_ms)
    return [
        Line("password step of signing in, CPU", statistics.median(password_ms), "ms", 60.0, against="privacyIDEA 500-600 ms"),
        Line("one-time code step of signing in, CPU", otp, "ms"),
        Line("one-time codes per CPU second : privacyIDEA's", 54.0 * machine.slowness() / otp, "×", against="54 ms CPU there"),
        Line("statements per one-time code", statements, ""),
    ]


def _password(client: Client) -> str:
    response = client.post("/session", {"username": NAME, "password": PASSWORD})
    done(response)
    return str(response.headers["Set-Cookie"]).partition(";")[0]


def _timed(call: Callable[[], str]) -> tuple[float, str]:
    before = time.process_time()
    result = call()
    return (time.process_time() - before) * 1000, result
