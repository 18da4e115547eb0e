"""Work is taken, given and put back: one person has it, it gives no permission, and it ends with the work."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.kernel.db import db
from tests.oversight.test_reference import proposed
from tests.reports.test_bell import told
from tests.reports.test_reminders import mailed, reachable
from tests.support.counting import counted
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.visitor import Visitor, goes_to
from tests.support.world import World, done

OFFICE, KIND = "magetan.kepala", "personalisation_request"


def give(world: World, who: str, request: str, to: str | None, held_by: str | None = None, kind: str = KIND) -> Any:
    """Assign the work on an object, as one person, to another or to nobody."""
    ids = {"to": str(world.users[to]) if to else None, "held_by": str(world.users[held_by]) if held_by else None}
    return world.client(who).post("/assignments", {"object_kind": kind, "object_id": request} | ids)


def holder(world: World, request: str, kind: str = KIND, who: str = "penyetuju1") -> str | None:
    """Return the user name of whoever has an object."""
    found = done(world.client(who).get("/assignments/object", object_kind=kind, object_id=request))["holder"]
    names = {str(user): name for name, user in world.users.items()}
    return names[found["id"]] if found else None


def test_work_is_taken_given_and_put_back_each_with_its_entry_and_the_colleague_is_told(world: World) -> None:
    reachable(world)
    request = world.submitted(OFFICE, "R")
    done(give(world, "operator1", request["id"], "operator1"))
    assert holder(world, request["id"]) == "operator1"
    done(give(world, "operator1", request["id"], "penyetuju2", "operator1"))
    assert holder(world, request["id"]) == "penyetuju2"
    assert told(world, "penyetuju2")[0] == ("personalisation_request_assigned", request["letter_number"])
    assert set(mailed(world)) == {"penyetuju2"}  # taking it oneself tells nobody
    done(give(world, "penyetuju1", request["id"], None, "penyetuju2"))
    assert holder(world, request["id"]) is None
    assert told(world, "penyetuju2")[0] == ("personalisation_request_passed_on", request["letter_number"])
    actions = world.sql("SELECT action FROM audit_entry WHERE action LIKE 'work.%' ORDER BY id")
    assert [action for (action,) in actions] == ["work.take", "work.give", "work.put_back"]


@pytest.mark.parametrize("held_by", [None, "operator2"])
def test_of_two_who_take_or_pass_on_at_once_one_wins_and_the_other_is_told_who_has_it(postgresql_world: World, held_by: str | None) -> None:
    world = postgresql_world
    request = world.submitted(OFFICE, "R")["id"]
    if held_by:
        done(give(world, held_by, request, held_by))
    clients = [world.client(who) for who in ("operator1", "penyetuju1", "penyetuju2")]
    ids = [str(world.users[who]) for who in ("operator1", "penyetuju1", "penyetuju2")]
    body = {"object_kind": KIND, "object_id": request, "held_by": str(world.users[held_by]) if held_by else None}
    calls = [lambda client=client, to=to: client.post("/assignments", body | {"to": to}) for client, to in zip(clients, ids, strict=True)]
    answers = run_simultaneously(calls)
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    [won] = [answer.json["holder"] for answer in answers if answer.status_code == 200]
    lost = [answer.json for answer in answers if answer.status_code == 409]
    assert {(one["type"].rpartition(":")[2], one["holder"]["id"]) for one in lost} == {("taken", won["id"])}
    assert all(won["name"] in one["detail"] for one in lost)
    assert len(world.sql("SELECT 1 FROM audit_entry WHERE action IN ('work.take', 'work.give')")) == (2 if held_by else 1)


def test_only_work_that_waits_for_both_is_given(sqlite_world: World) -> None:
    world = sqlite_world
    request = world.submitted(OFFICE, "R")["id"]
    assert give(world, "auditor1", request, "auditor1").status_code == 403
    assert give(world, OFFICE, request, OFFICE).status_code == 403
    for nobody in ("auditor1", OFFICE, "admin1"):
        refused = give(world, "operator1", request, nobody)
        assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "to")
    done(world.client("operator1").post(f"/personalisation-requests/{request}/verify"))
    assert give(world, "operator1", request, "operator1").status_code == 409  # it waits for approvers only now
    assert give(world, "penyetuju1", request, "operator1").status_code == 422
    assert give(world, "penyetuju1", str(UUID(int=1)), "penyetuju1").status_code == 404
    shown = done(world.client("penyetuju1").get("/assignments/object", object_kind=KIND, object_id=request))
    assert {one["id"] for one in shown["colleagues"]} == {str(world.users["penyetuju2"])}


def test_whoever_has_it_everybody_who_may_decide_still_may(sqlite_world: World) -> None:
    request = sqlite_world.submitted(OFFICE, "R")["id"]
    done(give(sqlite_world, "penyetuju1", request, "penyetuju1"))
    sqlite_world.approve("personalisation-requests", request, "penyetuju2")
    assert sqlite_world.sql("SELECT count(*) FROM assignment") == [(0,)]


def test_what_was_done_is_nobodys_work_and_the_rest_is_another_s(postgresql_world: World) -> None:
    world = postgresql_world
    request = world.submitted(OFFICE, "RW")["id"]
    path = f"/personalisation-requests/{request}"
    done(give(world, "operator1", request, "operator1"))
    done(world.client("operator2").post(f"{path}/verify"))
    assert holder(world, request) is None
    done(give(world, "penyetuju1", request, "penyetuju2"))
    world.approve("personalisation-requests", request, "penyetuju1")
    assert holder(world, request) == "penyetuju2"  # the second approval is still theirs to give
    other = world.submitted(OFFICE, "RW")["id"]
    done(give(world, "penyetuju1", other, "penyetuju1"))
    world.approve("personalisation-requests", other, "penyetuju1")
    assert holder(world, other) is None
    done(give(world, "penyetuju2", other, "penyetuju2"))
    done(world.client("operator1").post(f"/personalisation-requests/{other}/return", {"note": "surat kurang jelas"}))
    assert holder(world, other) is None


@pytest.mark.parametrize("way", ["disabled", "role"])
def test_whoever_is_disabled_or_loses_the_role_has_nothing_and_another_takes_it(sqlite_world: World, way: str) -> None:
    world = sqlite_world
    request = world.submitted(OFFICE, "R")["id"]
    done(give(world, "operator1", request, "operator1"))
    if way == "disabled":
        world.change_account("operator1", state="disabled")
    else:
        world.sql(
            "UPDATE user_role SET until = :now WHERE user_id IN (SELECT id FROM user_account WHERE username = 'operator1')",
            now=str(world.clock.now()),
        )
    assert holder(world, request) is None
    done(give(world, "operator2", request, "operator2"))
    assert holder(world, request) == "operator2"


def test_every_kind_of_work_can_be_taken(sqlite_world: World) -> None:
    world = sqlite_world
    world.submitted(OFFICE, "R")
    made = done(world.client(OFFICE).get("/personalisation-requests"))["items"][0]["id"]
    done(give(world, "penyetuju1", made, "penyetuju1"))
    change = proposed(world).rpartition("/")[2]
    done(give(world, "penyetuju1", change, "penyetuju1", kind="reference_change"))
    _, [active] = world.active(OFFICE, "R")
    manifest = active["manifest"]["id"]
    done(world.client("operator1").post(f"/manifests/{manifest}/revoke", {"reason": "salah tempat"}), 202)
    done(give(world, "penyetuju1", manifest, "penyetuju1", kind="manifest"))
    assert len(done(world.client("penyetuju1").get("/assignments", mine=True))["items"]) == 3


def test_sql_gives_no_work_to_somebody_without_the_role(world: World) -> None:
    request = world.submitted(OFFICE, "R")["id"]
    done(give(world, "operator1", request, "operator1"))
    for username in ("auditor1", OFFICE):
        with pytest.raises(DBAPIError):
            world.sql(
                "UPDATE assignment SET user_id = (SELECT id FROM user_account WHERE username = :name),"
                " act_id = (SELECT id FROM audit_entry ORDER BY id LIMIT 1)", name=username,
            )  # fmt: skip
    with pytest.raises(DBAPIError):
        world.sql("UPDATE assignment SET user_id = (SELECT id FROM user_account WHERE username = 'operator2')")  # by no act


def test_pages_show_who_has_it_and_lists_and_tasks_are_filtered_by_it(sqlite_world: World) -> None:
    world = sqlite_world
    first, second = (world.submitted(who, "R") for who in (OFFICE, "bangli.kepala"))
    visitor, other = Visitor(world, "operator1"), Visitor(world, "operator2")
    page = f"/personalisasi/{first['id']}"
    assert "Belum ada yang mengambil pekerjaan ini." in visitor.text(page)
    assert goes_to(visitor.send(f"{page}/penugasan", verb="take")) == page
    assert "Anda memegangnya" in visitor.text(page)
    [name] = [
        row[0] for row in world.sql("SELECT p.name FROM person p JOIN user_account a ON a.person_id = p.id WHERE a.username = 'operator1'")
    ]
    lost = other.send(f"{page}/penugasan", verb="take")
    assert goes_to(lost) == page
    assert f"{name} sudah memegangnya." in other.text(lost.location)
    for path in ("/personalisasi", "/tugas"):
        seen = {wanted: other.text(path, pemegang=wanted) for wanted in ("saya", "bebas", "dipegang")}
        has = {wanted: [one["letter_number"] in text for one in (first, second)] for wanted, text in seen.items()}
        assert has == {"saya": [False, False], "bebas": [False, True], "dipegang": [True, False]}
        assert name in seen["dipegang"]
    assert "Ditugaskan kepada Anda" in visitor.text("/")
    form = f"{page}/penugasan"
    assert "Tugaskan kepada" in visitor.text(form)
    assert visitor.send(form, verb="give", held_by=str(world.users["operator1"]), to=str(world.users["auditor1"])).status_code == 422
    assert "Orang ini tidak dapat menindaklanjutinya dalam keadaan sekarang." in visitor.seen
    assert visitor.get(f"/personalisasi/{UUID(int=1)}/penugasan").status_code == 404
    assert name not in Visitor(world, OFFICE).text(page)  # who has it is the directorate's own affair
    assert name not in Visitor(world, OFFICE).text("/personalisasi", pemegang="dipegang")


def test_the_statements_of_a_list_do_not_grow_with_who_has_its_rows(sqlite_world: World) -> None:
    with sqlite_world.app.app_context():
        engine = db.engine
    visitor = Visitor(sqlite_world, "operator1")

    def read() -> int:
        with counted(engine) as found:
            visitor.text("/personalisasi")
        return len(found.statements)

    sqlite_world.submitted(OFFICE, "R")
    read()
    few = read()
    for one in [sqlite_world.submitted(OFFICE, "R")["id"] for _ in range(3)]:
        done(give(sqlite_world, "operator1", one, "operator1"))
    assert read() == few
