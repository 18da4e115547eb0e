"""Compares an activation over HTTP with the bare handler on the same server program."""

from __future__ import annotations

import http.client
import json
import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sifilma.kernel.db import db
from tests.benchmarks import machine, server
from tests.benchmarks.table import Line
from tests.support.counting import counted
from tests.support.world import API, MAGETAN_PLACE, World, done

COUNT = 180
ROUNDS = 5
CLIENTS = 4
PRIVACYIDEA_MS = 54.0  # CPU of one OTP check of privacyIDEA, the lower of two measured figures
PRIVACYIDEA = "42 statements, 6 commits, 54 ms there"


def run(world: World) -> list[Line]:
    """Measure CPU per activation of both, their ratio, and the statements and commits of an activation."""
    bodies, bare_bodies = _bodies(world), _bodies(world)
    statements, commits = _statements(world, bodies)
    key = world.machine("Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan").headers["Authorization"]
    environment = _environment(world)
    ours, bare = [], []
    with (
        server.serving("app:app", environment) as (our_port, our_pid),
        server.serving("tests.benchmarks.bare_handler:app", environment) as (port, pid),
    ):
        for number in range(ROUNDS):  # alternating; the first round warms both up
            part = slice(2 + number * COUNT, 2 + (number + 1) * COUNT)
            ours.append(_cpu_ms(our_pid, our_port, API + "/activations", bodies[part], key))
            bare.append(_cpu_ms(pid, port, "/", bare_bodies[part], key))
    mine, theirs = min(ours), min(bare)  # the least disturbed round of each
    ratio = statistics.median(a / b for a, b in zip(ours[1:], bare[1:], strict=True))  # the ratio of each pair of rounds
    slow = machine.slowness()
    return [
        Line("this machine now : the reference machine", slow, "×", against="ES256 verification, 45 µs there"),
        Line("activation over HTTP, CPU", mine, "ms"),
        Line("activation over HTTP, CPU, as on the reference machine", mine / slow, "ms", 4.0),
        Line("bare handler, CPU", theirs, "ms"),
        Line("activation : bare handler, CPU", ratio, "×", 2.5, against="the same HSM calls and statements by psycopg"),
        Line("activations per CPU second : OTP checks of privacyIDEA", PRIVACYIDEA_MS * slow / mine, "×", 15.0, True, PRIVACYIDEA),
        Line("statements per activation", statements, "", 10),
        Line("commits per activation", commits, "", 1),
    ]


def _bodies(world: World) -> list[dict[str, Any]]:
    ready = world.ready("magetan.kepala", "R", COUNT * ROUNDS + 2)
    return [world.activation(ready, uid, **MAGETAN_PLACE) for uid in ready.uids]


def _environment(world: World) -> dict[str, str]:
    return {
        "SIFILMA_ENV": "test",
        "SIFILMA_HOME": str(world.settings.home),
        "SIFILMA_DATABASE_URL": world.settings.database_url,
        "SIFILMA_SECRET_KEY": "t" * 40,
        "SIFILMA_LOG_LEVEL": "WARNING",
        "SIFILMA_RATE_PER_MINUTE_ADDRESS": "100000000",  # the limits are measured too, and never reached
        "SIFILMA_RATE_PER_MINUTE_ACTOR": "100000000",
        "BARE_MODULE": world.settings.hsm_module,
        "SOFTHSM2_CONF": os.environ["SOFTHSM2_CONF"],
    }


def _statements(world: World, bodies: list[dict[str, Any]]) -> tuple[int, int]:
    """Count statements and commits in this process, after the first activation has made the month's data key."""
    client = world.client("magetan.kepala")
    done(client.post("/activations", bodies[0]), 201)
    with world.app.app_context():
        engine = db.engine
    with counted(engine) as found:
        done(client.post("/activations", bodies[1]), 201)
    return len(found.statements), found.commits


def _cpu_ms(pid: int, port: int, path: str, bodies: list[dict[str, Any]], key: str) -> float:
    before = server.cpu_seconds(pid)
    _post(port, path, bodies, key)
    return (server.cpu_seconds(pid) - before) * 1000 / len(bodies)


def _post(port: int, path: str, bodies: list[dict[str, Any]], key: str) -> None:
    """Send all bodies by CLIENTS threads."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        for sent in [clients.submit(_post_some, port, path, bodies[part::CLIENTS], key) for part in range(CLIENTS)]:
            sent.result()


def _post_some(port: int, path: str, bodies: list[dict[str, Any]], key: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for body in bodies:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", "Authorization": key})
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status == 201, data
    connection.close()
