"""Whoever asks too often is refused without a statement; denials made again and again do not fill the record."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from sifilma.kernel.db import db
from sifilma.kernel.rates import FIRST, WINDOW, Repetitions
from sifilma.resources import attach, resources
from sifilma.web import metrics
from tests.support.counting import counted
from tests.support.visitor import english
from tests.support.world import World, done


def told(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_an_actor_who_asks_too_often_is_refused_and_others_are_not(world: World) -> None:
    world.configure(rate_per_minute_actor=20, workers=2)
    head, before = world.client("magetan.kepala"), told("sifilma_requests_too_many_total", limit="actor")
    for _ in range(10):
        done(head.get("/me"))
    refused = head.get("/me")
    assert (refused.status_code, refused.json["type"]) == (429, "urn:sifilma:problem:too-many-requests")
    assert refused.json["detail"] == "Too many requests in a short time. Wait, then try again."
    assert 1 <= int(refused.headers["Retry-After"]) <= 6
    assert world.client("magetan.kepala").get("/me").status_code == 429  # the account, not the session
    done(world.client("bangli.kepala").get("/me"))
    done(world.machine("BANK MANDIRI").get("/me"))
    assert told("sifilma_requests_too_many_total", limit="actor") == before + 2
    assert world.sql("SELECT count(*) FROM audit_entry WHERE action LIKE 'access.%'") == [(0,)]


def test_an_address_that_asks_too_often_costs_no_statement(world: World) -> None:
    world.configure(rate_per_minute_address=10)
    client = world.app.test_client()

    def status(path: str, address: str = "2001:db8::1", accept: str = "application/json") -> int:
        return client.get(path, headers={"Accept": accept}, environ_base={"REMOTE_ADDR": address}).status_code

    assert [status("/tidak-ada") for _ in range(10)] == [404] * 10
    with world.app.app_context():
        engine = db.engine
    with counted(engine) as found:
        paths = ("/tidak-ada", "/kartu", "/api/v1/cards", "/masuk", "/status/1.jws", "/readyz", "/metrics")
        assert {status(path, "2001:db8::2", accept) for path in paths for accept in ("text/html", "application/json")} == {429}
    assert (found.statements, found.connections) == ([], 0)
    assert status("/livez") == 200
    assert status("/static/app.css") in (200, 404)
    assert status("/masuk", "2001:db8:0:1::1") == 200


def test_a_page_says_how_long_to_wait(sqlite_world: World) -> None:
    sqlite_world.configure(rate_per_minute_actor=1)
    visitor = english(sqlite_world, "magetan.kepala")
    visitor.get("/kartu")
    answer = visitor.get("/kartu")
    assert answer.status_code == 429
    assert "Too many requests in a short time." in visitor.seen
    assert f"Try again in {answer.headers['Retry-After']} seconds." in visitor.seen


def test_a_flood_of_denials_leaves_a_few_entries_and_one_that_counts(world: World) -> None:
    now = [1000.0]
    attach(world.app, replace(resources(world.app), denials=Repetitions(lambda: now[0])))  # an hour is not waited for
    client, before = world.client("bangli.kepala"), told("sifilma_denials_not_recorded_total", act="access.not_found")
    for _ in range(FIRST + 30):
        assert client.get(f"/units/{uuid4()}").status_code == 404
    assert client.get(f"/cards/{'30154B01' + '0' * 8}").status_code == 404  # another route has entries of its own
    assert client.post("/models", {}).status_code in (403, 404, 405, 422)
    count = "SELECT count(*) FROM audit_entry WHERE action = 'access.not_found'"
    assert world.sql(count) == [(FIRST + 1,)]
    assert told("sifilma_denials_not_recorded_total", act="access.not_found") == before + 30
    assert world.sql("SELECT count(*) FROM audit_entry WHERE action = 'access.repeated'") == [(0,)]
    now[0] += WINDOW
    world.clock.advance(hours=1)
    assert world.anonymous().get("/me").status_code == 401  # any refused request tells of it
    [entry] = done(world.client("auditor1").get("/audit", action="access.repeated"))["items"]
    assert entry["user_id"] == str(world.users["bangli.kepala"])
    assert entry["data"]["count"] == 30
    assert entry["data"]["refused"] == "access.not_found"
    assert entry["data"]["route"] == "/api/v1/units/<uuid:id>"
    assert entry["data"]["since"] <= entry["data"]["until"]
    assert world.anonymous().get("/me").status_code == 401
    assert world.sql("SELECT count(*) FROM audit_entry WHERE action = 'access.repeated'") == [(1,)]
