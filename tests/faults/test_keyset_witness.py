"""Server processes that run notice that the keyset's witness has seen a newer keyset than theirs, and go on with the right one."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hsm import HSM
from sifilma.activation.trust import keyset, published
from tests.faults.test_outages import MAGETAN
from tests.support.databases import Fresh
from tests.support.servers import Server, running
from tests.support.witness import witnessed
from tests.support.world import API, World

LOOK = 0.4  # seconds


def told_by_all(server: Server, path: str, is_told: Callable[[int, Any], bool], seconds: float = 15.0) -> None:
    """Wait until every process has said so: of two, sixteen answers in a row come of both."""
    until, row = time.monotonic() + seconds, 0
    while row < 16:
        assert time.monotonic() < until, "not every process says so"
        status, body, _ = server.call("GET", path)
        row = row + 1 if is_told(status, body) else 0
        time.sleep(0.02)


def test_processes_that_run_refuse_a_keyset_that_is_older_than_what_the_witness_saw_and_come_back(
    inhabited_sqlite: Fresh, tmp_path: Path, signing_token: HSM, root_token: HSM
) -> None:
    url, witness = inhabited_sqlite.make(), tmp_path / "witness"
    # The real time, which the servers have.
    with closing(World(url, tmp_path / "home", signing_token, root_token, datetime.now(UTC), workers=2)) as world:
        ready = world.ready(count=2)
        witnessed(world, witness)
        key = world.machine(MAGETAN).headers["Authorization"]
        first, second = (world.activation(ready, uid) for uid in ready.uids)
        elsewhere = world.settings.model_copy(update={"home": tmp_path / "elsewhere", "witness": str(witness)})
        shutil.copytree(world.settings.trust, elsewhere.trust)
        with running(world, SIFILMA_WITNESS=str(witness), SIFILMA_TRUST_SECONDS=str(LOOK)) as server:
            assert server.call("POST", API + "/activations", first, Authorization=key)[0] == 201
            assert server.call("GET", "/readyz")[1]["checks"]["keyset"] == {"ok": True, "version": 1}

            document = next(one.kid for one in world.trust.keyset.keys if one.use == "document")
            assert keyset.revoke(elsewhere, root_token, [document], world.start).keyset.version == 2  # and the witness has seen it
            why = "version 1 of the keyset is older than 2, which the witness has seen"
            told_by_all(server, "/readyz", lambda status, body: status == 503 and body["checks"]["keyset"] == {"ok": False, "error": why})
            for _ in range(4):
                status, problem, _ = server.call("POST", API + "/activations", second, Authorization=key)
                assert (status, problem["type"]) == (503, "urn:sifilma:problem:keyset-missing")
            assert server.call("GET", "/.well-known/sam-keyset.jws")[0] == 503
            assert [tuple(row) for row in world.sql("SELECT state, tries FROM token WHERE state <> 'redeemed'")] == [("issued", 0)]
            log = next(world.settings.home.glob("server-*.log")).read_text()
            assert any("keyset_refused" in line and why in line for line in log.splitlines())

            published.replace_file(world.settings.trust / keyset.FILE, (elsewhere.trust / keyset.FILE).read_bytes())
            told_by_all(server, "/readyz", lambda _status, body: body["checks"]["keyset"] == {"ok": True, "version": 2})
            (witness / keyset.WITNESS).write_text("{")  # what cannot be read is no reason to stop: the log says it
            time.sleep(3 * LOOK)
            assert server.call("POST", API + "/activations", second, Authorization=key)[0] == 201
            assert "witness_away" in next(world.settings.home.glob("server-*.log")).read_text()
            (witness / keyset.WITNESS).write_text(json.dumps({"root": world.trust.pin, "version": 2, "epoch": 9}))
            told_by_all(
                server,
                "/readyz",
                lambda _status, body: "epoch 1 of the keyset is older than 9" in body["checks"]["keyset"].get("error", ""),
            )
            (witness / keyset.WITNESS).write_text(json.dumps({"root": world.trust.pin, "version": 2, "epoch": 1}))  # put right by hand
            told_by_all(server, "/readyz", lambda _status, body: body["checks"]["keyset"]["ok"])
    inhabited_sqlite.remove(url)
