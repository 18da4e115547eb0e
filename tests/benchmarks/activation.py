"""An activation over HTTP against the bare handler on the same server program."""

from __future__ import annotations

import http.client
import json
import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sifilma.kernel.db import db
from tests.benchmarks import server
from tests.benchmarks.table import Line
from tests.support.counting import counted
from tests.support.world import API, MAGETAN_PLACE, Ready, World, done

COUNT = 300
ROUNDS = 3
CLIENTS = 4
PRIVACYIDEA_MS = 54.0  # one OTP check there, CPU, the lower of the two figures measured


def run(world: World) -> list[Line]:
    """CPU per activation of both, the ratio, statements and commits."""
    ready = world.ready("magetan.kepala", "R", COUNT * ROUNDS + 2)
    bodies = [world.activation(ready, uid, **MAGETAN_PLACE) for uid in ready.uids]
    statements, commits = _statements(world, ready, bodies)
    world.sql("CREATE TABLE bare_row (id uuid PRIMARY KEY, uid text, body bytea, at timestamptz)")
    key = world.machine("Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan").headers["Authorization"]
    environment = _environment(world)
    ours, bare = [], []
    with (
        server.serving("app:app", environment) as (our_port, our_pid),
        server.serving("tests.benchmarks.bare:app", environment) as (port, pid),
    ):
        _post(our_port, API + "/activations", [], key)
        _post(port, "/", bodies[:20], key)  # warm
        for number in range(ROUNDS):
            part = bodies[2 + number * COUNT : 2 + (number + 1) * COUNT]
            ours.append(_cpu_ms(our_pid, our_port, API + "/activations", part, key))
            bare.append(_cpu_ms(pid, port, "/", part, key))
    mine, theirs = statistics.median(ours), statistics.median(bare)
    return [
        Line("activation over HTTP, CPU", mine, "ms", 4.0),
        Line("bare handler, CPU", theirs, "ms"),
        Line("activation : bare handler, CPU", mine / theirs, "×", 2.5, against="same HSM calls, as many statements by psycopg"),
        Line(
            "activations per CPU second : OTP checks of privacyIDEA",
            PRIVACYIDEA_MS / mine,
            "×",
            15.0,
            True,
            "42 statements, 6 commits, 54 ms",
        ),
        Line("statements per activation", statements, "", 10),
        Line("commits per activation", commits, "", 1),
    ]


def _environment(world: World) -> dict[str, str]:
    return {
        "SIFILMA_ENV": "test",
        "SIFILMA_HOME": str(world.settings.home),
        "SIFILMA_DATABASE_URL": world.settings.database_url,
        "SIFILMA_SECRET_KEY": "t" * 40,
        "SIFILMA_LOG_LEVEL": "WARNING",
        "BARE_MODULE": world.settings.hsm_module,
        "SOFTHSM2_CONF": os.environ["SOFTHSM2_CONF"],
    }


def _statements(world: World, ready: Ready, bodies: list[dict[str, Any]]) -> tuple[int, int]:
    """Counted in this process, after the month's data key was made."""
    client = world.client("magetan.kepala")
    done(client.post("/activations", bodies[0]), 201)
    with world.app.app_context():
        engine = db.engine
    with counted(engine) as found:
        done(client.post("/activations", bodies[1]), 201)
    assert ready.uids[1] == bodies[1]["sam_uid"]
    return len(found.statements), found.commits


def _cpu_ms(pid: int, port: int, path: str, bodies: list[dict[str, Any]], key: str) -> float:
    before = server.cpu_seconds(pid)
    _post(port, path, bodies, key)
    return (server.cpu_seconds(pid) - before) * 1000 / len(bodies)


def _post(port: int, path: str, bodies: list[dict[str, Any]], key: str) -> None:
    """Send them all, by CLIENTS at once."""
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
