"""Without HSM, database or disk, calls are refused clearly, nothing is saved by half, and work continues without a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from sqlalchemy import text

from hsm import HSM
from sifilma.kernel import triggers
from sifilma.kernel.db import db
from tests.support.databases import Cluster
from tests.support.servers import running
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.softhsm import SoftHSM
from tests.support.visitor import Visitor
from tests.support.world import API, World, done, letter

MAGETAN = "Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan"


@pytest.fixture
def present_world(postgresql_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation whose clock shows the real time, which the servers use, with a short request deadline."""
    made = World(postgresql_url, tmp_path / "home", signing_token, root_token, datetime.now(UTC), request_deadline=3.0)
    with closing(made) as world:
        yield world


def test_an_activation_without_the_hsm_is_refused_and_does_not_use_up_its_token(present_world: World, softhsm: SoftHSM) -> None:
    world = present_world
    ready = world.ready()
    key = world.machine(MAGETAN).headers["Authorization"]
    body = world.activation(ready, ready.uids[0])
    with running(world) as server:
        assert server.call("GET", "/readyz")[0] == 200
        with softhsm.away():
            status, problem, headers = server.call("POST", API + "/activations", body, Authorization=key)
            assert (status, problem["type"]) == (503, "urn:sifilma:problem:hsm-unavailable")
            assert "nothing was used up" in problem["detail"]
            assert int(headers["retry-after"]) >= 1
            assert server.call("GET", "/livez")[0] == 200
            time.sleep(5.1)  # longer than a good health check is cached
            status, ready_now, _ = server.call("GET", "/readyz")
            assert (status, ready_now["checks"]["hsm"]["ok"], ready_now["checks"]["database"]["ok"]) == (503, False, True)
            assert world.sql("SELECT state, tries FROM token")[0] == ("issued", 0)
        # 503 until the library has restarted and the breaker lets a call through
        until = time.monotonic() + 20
        while (answer := server.call("POST", API + "/activations", body, Authorization=key))[0] == 503 and time.monotonic() < until:
            time.sleep(0.3)
        assert answer[0] == 201, answer
        assert server.call("GET", "/readyz")[1]["checks"]["hsm"]["ok"]


def test_no_request_of_a_batch_is_approved_without_the_hsm(present_world: World, softhsm: SoftHSM) -> None:
    world = present_world
    asked = [world.requested("magetan.kepala", world.received(function="R")) for _ in range(2)]
    approver = world.client("penyetuju1").headers
    sent = [("csrf_token", approver["X-CSRF-Token"]), *(("request", f"{one['id']}:{one['digest']}") for one in asked)]
    headers = {"Cookie": approver["Cookie"], "Accept": "text/html"}
    with running(world) as server:
        address = Request(f"http://127.0.0.1:{server.port}/aktivasi/sekaligus", urlencode(sent).encode(), headers)  # the test's own server
        with softhsm.away(), urlopen(address, timeout=30) as answer:
            page = answer.read().decode()
    assert page.count("Tidak disetujui:") == 2
    assert page.count("Belum dicoba: pilih sekali lagi.") == 1  # the first approval failed because the HSM was away
    assert world.sql("SELECT state FROM activation_request") == [("submitted",), ("submitted",)]
    assert world.sql("SELECT COUNT(*) FROM activation_approval") == [(0,)]


def test_a_frozen_database_is_given_up_at_the_deadline_and_the_server_continues(present_world: World, pg_cluster: Cluster) -> None:
    world = present_world
    ready = world.ready()
    key = world.machine(MAGETAN).headers["Authorization"]
    body = world.activation(ready, ready.uids[0])
    with running(world) as server:
        assert server.call("GET", API + "/me", Authorization=key)[0] == 200
        with pg_cluster.frozen():
            started = time.monotonic()
            calls = [partial(server.call, "POST", API + "/activations", body, Authorization=key) for _ in range(3)]
            answers = run_simultaneously(calls)
            assert time.monotonic() - started < world.settings.request_deadline + 2
            assert {answer[0] for answer in answers} == {503}
            assert all("nothing was changed" in answer[1]["detail"] for answer in answers)
            started = time.monotonic()
            assert server.call("GET", "/livez")[0] == 200
            assert time.monotonic() - started < 0.5
        # 503 until the broken connections of the pool are replaced
        until = time.monotonic() + 15
        while (answer := server.call("POST", API + "/activations", body, Authorization=key))[0] == 503 and time.monotonic() < until:
            time.sleep(0.2)
        assert answer[0] == 201, answer


def test_an_upload_that_cannot_be_stored_leaves_nothing_saved_and_one_is_read_without_a_cache(world: World) -> None:
    stated = world.letter() | {"function": "RW", "quantity": 1}
    office = world.client("magetan.kepala")
    with world.app.app_context(), db.engine.begin() as connection:
        full = triggers.render(triggers.Rule("full", "stored_part", "INSERT", message="disk full"), connection.dialect.name)
        for statement in full:
            connection.execute(text(statement))
    assert office.send("/personalisation-requests", stated, letter=letter()).status_code == 409
    for table in ("personalisation_request", "document", "stored_file", "stored_part"):
        assert world.sql(f"SELECT COUNT(*) FROM {table}") == [(0,)], table
    with world.app.app_context(), db.engine.begin() as connection:
        for name in triggers.missing(connection)[1]:
            connection.execute(text(f"DROP TRIGGER {name}" + ("" if connection.dialect.name == "sqlite" else " ON stored_part")))
    world.settings.file_cache.parent.mkdir(parents=True)
    world.settings.file_cache.write_text("a file where the folder should be")
    made = done(office.send("/personalisation-requests", stated, letter=letter()), 201)["id"]
    assert Visitor(world, "magetan.kepala").get(f"/personalisasi/{made}/berkas/surat").get_data() == letter()


def test_a_commit_that_fails_after_signing_does_not_use_up_the_token(postgresql_world: World) -> None:
    """The signature never leaves the process and is lost; a retry makes a new one."""
    world = postgresql_world
    ready = world.ready()
    body = world.activation(ready, ready.uids[0])
    world.sql("CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'disk full'; END $$")
    with world.app.app_context(), db.engine.begin() as connection:
        connection.execute(text("CREATE TRIGGER planted AFTER INSERT ON manifest FOR EACH ROW EXECUTE FUNCTION planted()"))
    client = world.client("magetan.kepala")
    assert client.post("/activations", body).status_code >= 500
    assert world.sql("SELECT state, tries FROM token")[0] == ("issued", 0)
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] == 0
    assert world.sql("SELECT state, seq FROM card")[0] == ("received", 0)
    world.sql("DROP FUNCTION planted() CASCADE")
    done(client.post("/activations", body), 201)
