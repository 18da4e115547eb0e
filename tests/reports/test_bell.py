"""The bell: what a person is told is there with the act, for them alone, and is seen once."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.kernel.db import db
from sifilma.notifications import bell
from sifilma.notifications.bell import Ring
from sifilma.reports.reminders import remind
from sifilma.resources import resources
from tests.oversight.test_reference import proposed
from tests.support.counting import counted
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.visitor import Visitor, goes_to
from tests.support.world import World, done

OFFICE = "magetan.kepala"


def told(world: World, who: str, **query: Any) -> list[tuple[str, str]]:
    """Return task and title of each notice of a person, the newest first."""
    return [(one["task"], one["title"]) for one in done(world.client(who).get("/notices", **query))["items"]]


def test_approvers_are_told_at_once_and_the_submitter_of_the_decision_with_e_mail_switched_off(world: World) -> None:
    world.sql("UPDATE user_account SET notices = ''")
    request = world.submitted(OFFICE, "R")
    number = request["letter_number"]
    assert told(world, "penyetuju1") == told(world, "penyetuju2") == [("approve_personalisation", number)]
    assert told(world, "operator1") == told(world, OFFICE) == []
    done(world.client("operator1").post(f"/personalisation-requests/{request['id']}/return", {"note": "kurang jelas"}))
    assert told(world, OFFICE) == [("personalisation_request_returned", number)]
    assert world.sql("SELECT count(*) FROM outbox_message") == [(0,)]
    [notice] = done(world.client(OFFICE).get("/notices"))["items"]
    assert notice["url"] == f"{world.settings.public_url}/personalisasi/{request['id']}"
    assert notice["words"] == "Permohonan personalisasi Anda dikembalikan untuk perbaikan"


def test_a_refused_act_tells_nobody(sqlite_world: World) -> None:
    request = sqlite_world.submitted(OFFICE, "R")["id"]
    refused = sqlite_world.client("penyetuju1").post(f"/personalisation-requests/{request}/approve", {"digest": "0" * 64})
    assert refused.status_code == 409
    assert told(sqlite_world, OFFICE) == []


def test_whoever_proposed_or_is_concerned_is_not_asked_to_decide(sqlite_world: World) -> None:
    proposed(sqlite_world)
    assert [task for task, _ in told(sqlite_world, "penyetuju1")] == ["decide_reference"]
    admin2 = str(sqlite_world.users["admin2"])
    done(sqlite_world.client("admin1").post(f"/central-users/{admin2}/changes", {"change": "disable", "reason": "pindah"}), 202)
    assert told(sqlite_world, "admin1") == told(sqlite_world, "admin2") == []
    operator2 = str(sqlite_world.users["operator2"])
    done(sqlite_world.client("admin1").post(f"/central-users/{operator2}/changes", {"change": "disable", "reason": "pindah"}), 202)
    assert told(sqlite_world, "admin1") == []
    assert told(sqlite_world, "admin2") == [("decide_user_change", "")]


def test_reminders_ring_whether_or_not_an_e_mail_leaves_and_not_twice_for_what_is_unseen(sqlite_world: World) -> None:
    world = sqlite_world

    def morning(days: int) -> int:
        world.clock.advance(days=days)
        return remind(world.context, world.settings, resources(world.app).site)

    morning(0)
    number = world.submitted(OFFICE, "R")["letter_number"]
    assert morning(3) == 0
    assert told(world, "operator1") == [("verify_personalisation", number)]
    assert told(world, "penyetuju1") == [("approve_personalisation", number)]  # told at once already, and not seen since
    done(world.client("penyetuju1").post("/notices/seen", {"until": done(world.client("penyetuju1").get("/notices"))["items"][0]["id"]}))
    assert morning(8) == 0
    assert told(world, "penyetuju1") == [("approve_personalisation", number)] * 2


def test_a_person_sees_and_marks_only_their_own(sqlite_world: World) -> None:
    world = sqlite_world
    world.submitted(OFFICE, "R")
    mine, other = world.client("penyetuju1"), world.client("penyetuju2")
    [notice] = done(mine.get("/notices"))["items"]
    assert done(other.post("/notices/seen", {"ids": [notice["id"]]})) == {"seen": 0, "unseen": 1}
    assert Visitor(world, "penyetuju2").send(f"/pemberitahuan/{notice['id']}").status_code == 404
    assert told(world, "penyetuju1", unseen=True) != []
    assert mine.post("/notices/seen", {}).status_code == mine.post("/notices/seen", {"ids": [], "until": None}).status_code == 422
    assert done(mine.post("/notices/seen", {"ids": [notice["id"]]})) == {"seen": 1, "unseen": 0}
    assert told(world, "penyetuju1", unseen=True) == []
    assert len(told(world, "penyetuju1")) == 1


def test_what_came_after_the_list_was_shown_stays_unseen(sqlite_world: World) -> None:
    sqlite_world.submitted(OFFICE, "R")
    shown = done(sqlite_world.client("penyetuju1").get("/notices"))["items"][0]["id"]
    later = sqlite_world.submitted("bangli.kepala", "R")["letter_number"]
    assert done(sqlite_world.client("penyetuju1").post("/notices/seen", {"until": shown})) == {"seen": 1, "unseen": 1}
    assert told(sqlite_world, "penyetuju1", unseen=True) == [("approve_personalisation", later)]


def test_a_notice_is_frozen_but_for_being_seen_once(world: World) -> None:
    world.submitted(OFFICE, "R")
    for change in ("title = 'lain'", "task = 'lain'", "user_id = (SELECT id FROM user_account WHERE username = 'admin1')", "at = seen_at"):
        with pytest.raises(DBAPIError):
            world.sql(f"UPDATE notice SET {change}")
    world.sql("UPDATE notice SET seen_at = at")
    for change in ("seen_at = NULL", "seen_at = at"):
        with pytest.raises(DBAPIError):
            world.sql(f"UPDATE notice SET {change}")


def test_the_same_thing_told_at_once_by_several_is_one_notice(postgresql_world: World) -> None:
    user, thing = postgresql_world.users[OFFICE], uuid4()

    def ring() -> None:
        with postgresql_world.context() as ctx:
            bell.ring(ctx.session, ctx.now, [Ring(user, "handover_message", thing, "1/BAST")])

    run_simultaneously([ring] * 6)
    assert told(postgresql_world, OFFICE) == [("handover_message", "1/BAST")]


def test_the_number_stands_on_every_page_and_costs_no_statement(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world, "penyetuju1")
    with sqlite_world.app.app_context():
        engine = db.engine

    def read() -> tuple[str, int]:
        with counted(engine) as found:
            page = visitor.get("/profil").get_data(as_text=True)
        return page, len(found.statements)

    read()
    before, few = read()
    assert 'aria-label="Pemberitahuan"' in before
    with sqlite_world.context() as ctx:
        bell.ring(ctx.session, ctx.now, [Ring(sqlite_world.users["penyetuju1"], "role_ends", uuid4()) for _ in range(101)])
    after, many = read()
    assert '<span class="count">99+</span>' in after
    assert many == few
    with counted(engine) as found:
        visitor.get("/profil")
    assert sum(" FROM notice" in " ".join(statement.split()) for statement in found.statements) == 1


def test_the_page_leads_to_each_thing_and_marks_it_as_read(sqlite_world: World) -> None:
    requests = [sqlite_world.submitted(who, "R") for who in (OFFICE, "bangli.kepala")]
    visitor = Visitor(sqlite_world, "penyetuju1")
    page = visitor.get("/pemberitahuan").get_data(as_text=True)
    assert 'aria-label="Pemberitahuan: 2 belum dibaca"' in page
    newest = done(sqlite_world.client("penyetuju1").get("/notices"))["items"][0]["id"]
    assert goes_to(visitor.send(f"/pemberitahuan/{newest}")) == f"/personalisasi/{requests[1]['id']}#decision"
    unread = visitor.text("/pemberitahuan", baru="1")
    assert requests[0]["letter_number"] in unread
    assert requests[1]["letter_number"] not in unread
    assert goes_to(visitor.send("/pemberitahuan/dibaca", until=newest)) == "/pemberitahuan"
    assert "Tidak ada" in visitor.text("/pemberitahuan", baru="1")
    assert visitor.send("/pemberitahuan/dibaca", until="x").status_code == 422
