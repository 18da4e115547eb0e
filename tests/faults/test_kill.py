"""A server is killed repeatedly while eight clients activate (PostgreSQL): every acknowledged activation is stored completely."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hsm import HSM
from manifests.verifier import Expectations, verify
from sifilma.fsck.run import examine
from tests.fsck.conftest import installation
from tests.support.servers import Server
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.world import API, MAGETAN_PLACE, World

KILLS, KILLS_OF_LONG_FORM = 16, 52
CLIENTS = 8
SPARE = 3
MAGETAN = "Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan"


@pytest.fixture
def present_world(postgresql_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation whose clock shows the real time, which the servers use."""
    with closing(World(postgresql_url, tmp_path / "home", signing_token, root_token, datetime.now(UTC))) as made:
        yield made


def attempt(server: Server, body: dict[str, Any], key: str) -> int:
    """Try an activation once; return its status, 0 when the server was gone before it answered."""
    try:
        return server.call("POST", API + "/activations", body, Authorization=key)[0]
    except (OSError, http.client.HTTPException):
        return 0


def kill_soon(server: Server) -> int:
    time.sleep(
        random.uniform(0, 0.08)
    )  # the eight activations share the cores and last about this long, so the kill falls in the middle of them
    server.kill()
    return 0


def play(world: World, bodies: list[dict[str, Any]], key: str) -> tuple[set[str], int]:
    """Run a round for each CLIENTS bodies: eight clients activate, the server is killed, and calls without an answer are sent again to
    the next server.

    Returns the acknowledged UIDs and the number of retries.
    """
    acknowledged: set[str] = set()
    retries = 0
    spare = [Server(world) for _ in range(SPARE)]
    try:
        for first in range(0, len(bodies), CLIENTS):
            server, part = spare.pop(0).wait(), bodies[first : first + CLIENTS]
            server.call(
                "GET", API + "/me", Authorization=key
            )  # the first request of a process is slow; the kill must hit activations at work
            answers = run_simultaneously([*(partial(attempt, server, body, key) for body in part), partial(kill_soon, server)])[:-1]
            spare.append(Server(world))
            next_one = spare[0].wait()
            for body, status in zip(part, answers, strict=True):
                final = status
                if status == 0:
                    retries += 1
                    final = attempt(next_one, body, key)
                    assert final in (201, 409), (body["sam_uid"], final)
                if 201 in (status, final):
                    acknowledged.add(body["sam_uid"])
                else:
                    assert final == 409
    finally:
        for server in spare:
            server.kill()
    return acknowledged, retries


def test_no_acknowledged_activation_is_lost_and_no_token_is_used_up_without_a_manifest(present_world: World, long_form: bool) -> None:
    world, kills = present_world, KILLS_OF_LONG_FORM if long_form else KILLS
    ready = world.ready("magetan.kepala", "R", kills * CLIENTS)
    key = world.machine(MAGETAN).headers["Authorization"]
    bodies = [world.activation(ready, uid, **MAGETAN_PLACE) for uid in ready.uids]
    started = time.monotonic()
    acknowledged, retries = play(world, bodies, key)
    assert retries > kills  # the kills interrupted requests at work
    assert len(acknowledged) > kills
    # each activation was acknowledged at once or by its retry, and is stored exactly once
    rows = world.sql(
        "SELECT c.uid, m.id, m.state, t.state, a.id FROM card c JOIN manifest m ON m.card_id = c.id"
        " JOIN activation a ON a.manifest_id = m.id AND m.activation_id = a.id JOIN token t ON t.id = a.token_id"
        " JOIN audit_entry e ON e.id = a.act_id AND e.action = 'activation.create'"
    )
    assert len(rows) == len({row[0] for row in rows}) == kills * CLIENTS
    assert {(row[2], row[3]) for row in rows} == {("active", "redeemed")}
    assert acknowledged <= {row[0] for row in rows}
    for table in ("token", "activation", "manifest"):
        assert world.sql(f"SELECT COUNT(*) FROM {table}")[0][0] == kills * CLIENTS
    assert world.sql("SELECT state, redeemed FROM activation_request")[0] == ("completed", kills * CLIENTS)
    _every_body_verifies(world, [str(row[1]) for row in rows])
    world.clock.set(datetime.now(UTC))  # the servers went by the real time
    assert [str(finding) for finding in examine(installation(world)).findings] == []
    print(f"{kills} kills, {len(acknowledged)} acknowledged, {retries} sent again, {time.monotonic() - started:.0f} s")


def _every_body_verifies(world: World, ids: list[str]) -> None:
    holder = world.client("magetan.kepala")
    moment = int(datetime.now(UTC).timestamp()) + 1
    refused = []
    for manifest_id in ids:
        data = holder.post(f"/manifests/{manifest_id}/download").get_data()
        verdict = verify(data, Expectations(world.trust.pin, world.trust.file, moment))
        if not verdict.valid:
            refused.append((manifest_id, verdict))
    assert refused == []
