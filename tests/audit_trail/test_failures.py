"""A failed request is found by the number that its page shows: who, when, which page, which error."""

from __future__ import annotations

import re

import pytest
from flask import request
from sqlalchemy.exc import OperationalError

from sifilma.app.retention import forget_old
from sifilma.resources import resources
from sifilma.web.operations import operation
from tests.support.visitor import Visitor, english, words
from tests.support.world import World, done

ID = "00000000-0000-7000-8000-000000000000"


def number(page: str) -> str:
    """Return the number on an error page."""
    return re.findall(r"operator: ([0-9a-f-]{36})", page)[0]


@pytest.fixture
def broken(sqlite_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Break the list of cards: it fails with what `?uid=` names, which is no part of what is stored."""

    def fail() -> str:
        if request.args["uid"] == "database":
            raise OperationalError("SELECT 1", {}, Exception("disk I/O error"), connection_invalidated=True)
        raise RuntimeError(request.args["uid"])

    monkeypatch.setitem(sqlite_world.app.view_functions, "card_pages.index", operation("card.view")(fail))
    return sqlite_world


def test_the_number_of_an_error_page_leads_an_operator_to_its_request(world: World) -> None:
    """On both databases, on the page and by the API; nothing that was sent is stored."""
    office = english(world, "magetan.kepala")
    page = words(office.get(f"/unit/{ID}", rahasia="NIK"), 404)
    found = english(world, "operator1").text("/kejadian", kode=f" {number(page)} ")
    for said in ("Indah Contoh", "magetan.kepala", "(404)", "There is no such thing", "GET /unit/<uuid:unit_id>"):
        assert said in found, said
    [one] = done(world.client("auditor1").get("/failed-requests", request_id=number(page)))["items"]
    assert (one["status"], one["type"], one["user_id"]) == (404, "not-found", str(world.users["magetan.kepala"]))
    assert not {"NIK", ID} & {str(value) for row in world.sql("SELECT * FROM failed_request") for value in row}
    assert "Nothing fits these filters" in english(world, "operator1").text("/kejadian", kode=ID)


def test_who_may_search_failed_requests(sqlite_world: World) -> None:
    for name, status in (("operator1", 200), ("auditor1", 200), ("admin1", 200), ("penyetuju1", 403), ("magetan.kepala", 403)):
        assert english(sqlite_world, name).get("/kejadian").status_code == status, name
        assert sqlite_world.client(name).get("/failed-requests").status_code == status, name


def test_a_fault_of_the_service_is_found_with_the_class_of_its_error(broken: World) -> None:
    page = words(Visitor(broken, "magetan.kepala").get("/kartu", uid="secret"), 500)
    [code] = re.findall(r"sebutkan kode ini kepada operator: (\S+)", page)
    assert "RuntimeError" in english(broken, "operator1").text("/kejadian", kode=code)
    assert "secret" not in str(broken.sql("SELECT * FROM failed_request"))


def test_what_failed_while_the_database_was_away_is_stored_with_the_next_failure(broken: World) -> None:
    office = english(broken, "magetan.kepala")
    code = number(words(office.get("/kartu", uid="database"), 503))
    assert "Nothing fits these filters" in english(broken, "operator1").text("/kejadian", kode=code)
    office.get("/kartu", uid="x")
    assert "(503)" in english(broken, "operator1").text("/kejadian", kode=code)


def test_strangers_and_repetitions_do_not_fill_the_table(sqlite_world: World) -> None:
    for _ in range(3):
        assert Visitor(sqlite_world).get("/tidak-ada").status_code == 404
    office = Visitor(sqlite_world, "magetan.kepala")
    for _ in range(13):
        office.get(f"/unit/{ID}")
    assert sqlite_world.sql("SELECT COUNT(*) FROM failed_request") == [(10,)]


def test_failed_requests_are_deleted_after_their_time(sqlite_world: World) -> None:
    Visitor(sqlite_world, "magetan.kepala").get(f"/unit/{ID}")
    for days, left in ((89, 1), (2, 0)):
        sqlite_world.clock.advance(days=days)
        with sqlite_world.context() as ctx:
            forget_old(ctx, sqlite_world.settings, resources(sqlite_world.app).files)
        assert sqlite_world.sql("SELECT COUNT(*) FROM failed_request") == [(left,)]
