"""The database is lost at every moment of a request: the answer says so, claims nothing that is not true, and the next request works."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest

from hsm import HSM
from tests.faults.pooler import How, Pooler, When, pooler_before
from tests.support.databases import Cluster, Fresh
from tests.support.servers import running
from tests.support.visitor import Visitor
from tests.support.world import API, Client, World, done

UNIT = {"model": "LEN-CRD-1", "function": "R"}
UNCHANGED = "The database is not available right now; nothing was changed."
UNKNOWN = "urn:sifilma:problem:outcome-unknown"
MOMENTS = [(how, when) for how in get_args(How) for when in get_args(When)]


@pytest.fixture
def pooler(pg_cluster: Cluster) -> Iterator[Pooler]:
    """Yield a pooler before this process's PostgreSQL."""
    with pooler_before(pg_cluster.base) as made:
        yield made


@pytest.fixture
def pooled_world(inhabited_postgresql: Fresh, pooler: Pooler, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation that reaches its database through the pooler."""
    url = inhabited_postgresql.make()
    with closing(World(pooler.url(url), tmp_path / "home", signing_token, root_token)) as world:
        yield world
    inhabited_postgresql.remove(url)


def units(world: World, number: str) -> int:
    return int(world.sql(f"SELECT COUNT(*) FROM unit WHERE hardware_number = '{number}'")[0][0])


def ask(client: Client, number: str, key: str) -> Any:
    return client.post("/units", UNIT | {"hardware_number": number}, Idempotency_Key=key)


@pytest.mark.parametrize(("how", "when"), MOMENTS)
def test_a_call_whose_database_is_lost_at_any_statement_is_never_an_empty_500_and_its_key_is_free_at_once(
    pooled_world: World, pooler: Pooler, how: How, when: When
) -> None:
    client, stored = pooled_world.client("magetan.kepala"), []
    ask(client, "FIRST", "first")
    for moment in range(40):
        number = f"{how}-{when}-{moment}".upper()
        pooler.fail(moment, how, when)
        answer = ask(client, number, number)
        if not pooler.failed:
            break
        assert answer.status_code in (201, 503), (moment, answer.status_code)
        there = units(pooled_world, number)
        if answer.status_code == 503:
            assert answer.mimetype == "application/problem+json"
            assert int(answer.headers["Retry-After"]) >= 1
            if answer.json["type"] == UNKNOWN:
                stored.append(there)
            else:
                assert (answer.json["detail"], there) == (UNCHANGED, 0), moment
        done(client.get("/me"))
        done(ask(client, number, number), 201)
        assert units(pooled_world, number) == 1, moment
    assert (1 < moment < 39, stored) == (True, [int(when == "after")])


@pytest.mark.parametrize(("how", "when"), MOMENTS)
def test_a_refused_call_whose_database_is_lost_at_any_statement_is_refused_or_unavailable(
    pooled_world: World, pooler: Pooler, how: How, when: When
) -> None:
    client = pooled_world.client("magetan.kepala")
    for moment in range(40):
        pooler.fail(moment, how, when)
        refused = client.post("/units", UNIT | {"hardware_number": "NONE", "model": "NO SUCH MODEL"}, Idempotency_Key=f"{moment}")
        if not pooler.failed:
            break
        assert refused.status_code in (422, 503), (moment, refused.get_data(as_text=True))
        done(client.get("/me"))
        pooled_world.clock.advance(seconds=pooled_world.settings.request_deadline + 3)  # where the loss was at the release of the key
        done(client.post("/units", UNIT | {"hardware_number": f"{how}-{when}-{moment}"}, Idempotency_Key=f"{moment}"), 201)
    assert 1 < moment < 39


@pytest.mark.parametrize(("how", "when"), MOMENTS)
def test_a_page_or_form_whose_database_is_lost_at_any_statement_is_a_page_that_says_so(
    pooled_world: World, pooler: Pooler, how: How, when: When
) -> None:
    visitor = Visitor(pooled_world, "magetan.kepala")
    for path in ("/", "/kartu", "/unit/daftar", "/kartu/30154B010000FFFF"):
        assert visitor.get(path).status_code in (200, 404)
        for moment in range(40):
            pooler.fail(moment, how, when)
            answer = visitor.get(path)
            if not pooler.failed:
                break
            assert answer.status_code in (200, 404, 503), (path, moment)
            assert ("sebutkan kode ini kepada operator" in visitor.seen, answer.headers["Content-Security-Policy"][:7]) == (
                answer.status_code >= 400,
                "default",
            )
    unsure = []
    for moment in range(40):
        number = f"{how}-{when}-{moment}".upper()
        pooler.fail(moment, how, when)
        answer = visitor.send("/unit/daftar", **UNIT, hardware_number=number)
        if not pooler.failed:
            break
        assert answer.status_code in (303, 503), moment
        if answer.status_code == 503 and "mungkin sudah tersimpan, mungkin belum" in visitor.seen:
            assert 'name="hardware_number"' not in answer.get_data(as_text=True), "a form that may be saved is not offered to be sent again"
            unsure.append(units(pooled_world, number))
        elif answer.status_code == 503:
            assert (units(pooled_world, number), number in answer.get_data(as_text=True)) == (0, True)
    assert unsure == [int(when == "after")]


def killing(world: World, at: str) -> None:
    """Have PostgreSQL end the connection by itself at this moment of a call that makes a unit."""
    table, kind = {
        "a statement": ("unit", "TRIGGER"),
        "the commit": ("unit", "CONSTRAINT TRIGGER"),
        "the release": ("idempotency_key", "TRIGGER"),
    }[at]
    when = "AFTER DELETE" if at == "the release" else "AFTER INSERT"
    deferred = "DEFERRABLE INITIALLY DEFERRED" if at == "the commit" else ""
    body = "BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END"
    world.sql(f"CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
    world.sql(f"CREATE {kind} planted {when} ON {table} {deferred} FOR EACH ROW EXECUTE FUNCTION planted()")


@pytest.mark.parametrize("at", ["a statement", "the commit", "the release"])
def test_a_connection_that_postgresql_ends_gives_503_and_the_call_can_be_repeated(postgresql_world: World, at: str) -> None:
    world = postgresql_world
    client = world.client("magetan.kepala")
    number = "ENDED"
    killing(world, at)
    if at == "the release":  # of a refused call: there is no such model
        refused = client.post("/units", UNIT | {"hardware_number": number, "model": "NONE"}, Idempotency_Key="k")
        assert refused.status_code == 422
    else:
        answer = ask(client, number, "k")
        assert (answer.status_code, answer.json["type"] == UNKNOWN) == (503, at == "the commit")
    assert units(world, number) == 0
    world.sql("DROP FUNCTION planted() CASCADE")
    if at == "the release":  # the key stays claimed as long as a request lives, and no longer
        world.clock.advance(seconds=world.settings.request_deadline + 3)
        number = "OTHER"
    done(
        client.post(
            "/units", UNIT | {"hardware_number": number, "model": "LEN-CRD-1"}, Idempotency_Key="k2" if at == "the release" else "k"
        ),
        201,
    )


def test_a_database_that_crashes_and_comes_back_costs_no_request_more_than_a_503(postgresql_world: World, pg_cluster: Cluster) -> None:
    world = postgresql_world
    key = world.machine("Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan").headers["Authorization"]
    with running(world) as server:
        assert server.call("GET", API + "/me", Authorization=key)[0] == 200
        pg_cluster.stop("immediate")
        try:
            for number in ("k", "k2"):
                began, unit = time.monotonic(), UNIT | {"hardware_number": "CRASH"}
                status, problem, _ = server.call("POST", API + "/units", unit, Authorization=key, Idempotency_Key=number)
                assert (status, problem["detail"]) == (503, UNCHANGED)
                assert time.monotonic() - began < 2
            status, page, _ = server.call("GET", "/masuk", Accept="text/html")
            assert (status, "</html>" in page) == (200, True)
            assert server.call("GET", "/readyz")[0] == 503
        finally:
            pg_cluster.start()
        status, made, _ = server.call("POST", API + "/units", UNIT | {"hardware_number": "CRASH"}, Authorization=key, Idempotency_Key="k")
        assert status == 201, made
        assert server.call("GET", "/readyz")[0] == 200
