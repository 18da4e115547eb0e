"""A head follows another by decree: who proposes and decides, what becomes of both, and to whom word of open work goes."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.access_review.tasks import end_roles
from sifilma.accounts import consents
from sifilma.fsck.run import examine
from sifilma.handover.queries import find_head
from sifilma.handover.service import acting_signatory
from sifilma.identity.models import User
from tests.accounts.known_people import invited_by, take_up
from tests.fsck.conftest import installation
from tests.succession.head_successions import NEW_HEAD, decided, proposed, succeeded
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.visitor import one_id
from tests.support.world import World, done, letter

HEAD, STAFF = "magetan.kepala", "magetan.staf"
PASSED = "succession_id, object_kind, object_id, user_id"


def state_of(world: World, username: str) -> tuple[str, set[str]]:
    [(state,)] = world.sql("SELECT state FROM user_account WHERE username = :name", name=username)
    return state, world.roles_of(username)


def sent_to(world: World, username: str) -> int:
    [(count,)] = world.sql(
        "SELECT COUNT(*) FROM outbox_message m JOIN user_account u ON u.id = m.user_id WHERE u.username = :name", name=username
    )
    return int(count)


def faults(world: World) -> list[str]:
    return [str(finding) for finding in examine(installation(world)).findings]


def reachable(world: World) -> None:
    """Give everybody an address, and a way to it."""
    world.configure(smtp_host="127.0.0.1", smtp_security="none")
    world.change(User, email=lambda user: f"{user.username}@contoh.example")


def test_two_administrators_have_staff_follow_and_open_work_passes_on(world: World) -> None:
    reachable(world)
    draft = done(
        world.client(HEAD).send("/personalisation-requests", world.letter() | {"function": "R", "quantity": 1}, letter=letter()), 201
    )
    waiting, over = world.submitted(HEAD, "R"), world.submitted(HEAD, "R")
    done(world.client("penyetuju1").post(f"/personalisation-requests/{over['id']}/reject", {"note": "ganda"}))
    before, head = sent_to(world, HEAD), world.client(HEAD)
    made = done(proposed(world), 202)
    assert (made["state"], [one["id"] for one in made["passes"]]) == ("proposed", [None, None])  # administrators see no requests
    shown = done(head.get(f"/head-successions/{made['id']}"))
    assert {one["id"] for one in shown["passes"]} == {draft["id"], waiting["id"]}
    assert sent_to(world, HEAD) == before + 1  # who is to be followed is told at once
    assert decided(world, made["id"], "admin1").status_code == 403
    assert state_of(world, HEAD) == ("active", {"head"})
    done(decided(world, made["id"]))
    assert (state_of(world, HEAD), state_of(world, STAFF)) == (("disabled", {"staff"}), ("active", {"head", "staff"}))
    assert head.get("/me").status_code == 401
    rung = world.sql("SELECT task FROM notice WHERE task IN ('agree_succession', 'made_head') ORDER BY task")
    assert rung == [("agree_succession",), ("made_head",)]
    after = done(world.client(STAFF).get(f"/head-successions/{made['id']}"))
    assert (after["state"], {one["id"] for one in after["passes"]}) == ("executed", {draft["id"], waiting["id"]})
    assert world.client(STAFF).get(f"/head-successions/{made['id']}/decree").status_code == 200
    told = sent_to(world, STAFF)
    world.approve("personalisation-requests", waiting["id"], "penyetuju1")
    assert sent_to(world, STAFF) == told + 1  # not the account that submitted it, which is disabled
    assert decided(world, made["id"]).status_code == 409
    assert faults(world) == []


def test_the_outgoing_head_proposes_and_one_administrator_decides(world: World) -> None:
    assert proposed(world, HEAD, outgoing="bangli.kepala").status_code == 403
    made = done(proposed(world, HEAD, outgoing=None, former="staff"), 202)
    assert decided(world, made["id"], HEAD).status_code == 403
    assert decided(world, made["id"], STAFF).status_code == 403
    assert decided(world, made["id"], "bangli.kepala").status_code == 404
    done(decided(world, made["id"], "admin1"))
    assert (state_of(world, HEAD), state_of(world, STAFF)) == (("active", {"staff"}), ("active", {"head", "staff"}))
    assert done(world.client(HEAD).get("/me"))["roles"] == ["staff"]


def test_the_outgoing_head_agrees_to_an_administrators_proposal_but_does_not_reject_it(world: World) -> None:
    made = done(proposed(world), 202)
    assert decided(world, made["id"], HEAD, "reject").status_code == 403
    done(decided(world, made["id"], HEAD))
    assert state_of(world, HEAD) == ("disabled", {"staff"})


def test_a_new_person_is_invited_when_the_proposal_is_executed_and_their_account_ends_with_a_rejection(world: World) -> None:
    body = {"organisation": str(world.organisation_of(HEAD)), "outgoing": str(world.users[HEAD]), "invited": NEW_HEAD}
    body |= {"decree_number": "821.2/417/2026", "decree_date": "2026-11-20"}
    made = done(world.client("admin1").send("/head-successions", body, decree=letter()), 202)
    assert state_of(world, NEW_HEAD["username"]) == ("invited", {"staff"})
    done(decided(world, made["id"], "admin1", "reject"))
    assert state_of(world, NEW_HEAD["username"]) == ("disabled", {"staff"})
    invited = NEW_HEAD | {"username": "magetan.kepala3"}
    made = done(world.client("admin1").send("/head-successions", body | {"invited": invited}, decree=letter()), 202)
    link = done(decided(world, made["id"]))["invitation"]
    assert state_of(world, "magetan.kepala3") == ("invited", {"head", "staff"})
    [vacancy] = [
        one for one in done(world.client("admin1").get("/offices-without-head"))["items"] if "Magetan" in one["organisation"]["name"]
    ]
    assert (vacancy["reason"], vacancy["is_proposed"]) == ("invited", False)
    world.users["magetan.kepala3"] = UUID(one_id(world, "SELECT id FROM user_account WHERE username = 'magetan.kepala3'"))
    take_up(world, "magetan.kepala3", link.rpartition("/")[2])
    assert done(world.client("magetan.kepala3").get("/me"))["roles"] == ["head", "staff"]


def test_a_known_person_consents_before_the_office_is_theirs(sqlite_world: World) -> None:
    world, number = sqlite_world, str(NEW_HEAD["id_number"])
    take_up(world, "umi.bangli", invited_by(world, "bangli.kepala", "umi.bangli", number))
    body = {"organisation": str(world.organisation_of(HEAD)), "outgoing": str(world.users[HEAD]), "invited": NEW_HEAD}
    body |= {"decree_number": "821.2/417/2026", "decree_date": "2026-11-20"}
    made = done(world.client("admin1").send("/head-successions", body, decree=letter()), 202)
    with world.context() as ctx:
        assert consents.ask_known_people(ctx, world.settings) == 0  # nobody is asked before two persons have agreed
    link = done(decided(world, made["id"]))["invitation"].rpartition("/")[2]
    view = done(world.anonymous().post("/invitations/view", {"invitation": link}))
    with world.context() as ctx:
        assert consents.ask_known_people(ctx, world.settings) == 1
    assert view["username"] == NEW_HEAD["username"]
    [question] = done(world.client("umi.bangli").get("/me/consents"))["items"]
    own = done(world.client("umi.bangli").post(f"/me/consents/{question['id']}/answer", {"decision": "accept"}))["invitation"]
    world.users[str(NEW_HEAD["username"])] = UUID(one_id(world, "SELECT id FROM user_account WHERE username = 'magetan.kepala2'"))
    take_up(world, str(NEW_HEAD["username"]), own.rpartition("/")[2])
    assert done(world.client(str(NEW_HEAD["username"])).get("/me"))["roles"] == ["head", "staff"]


def test_an_acting_head_lapses_without_anybody_acting_and_neither_makes_nor_changes_heads(world: World) -> None:
    made = succeeded(world, until="2026-11-25", former="head")
    assert (made["until"], made["passes"]) == ("2026-11-25T17:00:00Z", [])
    assert (state_of(world, HEAD)[1], state_of(world, STAFF)[1]) == ({"head"}, {"head", "staff"})
    acting = world.client(STAFF)
    assert done(acting.get("/me"))["roles_until"] == {"head": "2026-11-25T17:00:00Z"}
    path = f"/users/{world.users[HEAD]}/changes"
    for change in ({"change": "disable"}, {"change": "roles", "roles": ["staff"]}):
        assert acting.post(path, change).json["type"].endswith(":acting-head")
    new = {"username": "magetan.baru", "name": "Umi Contoh", "id_kind": "nip", "id_number": "199505052020032015"}
    assert acting.post("/users", new | {"roles": ["head"]}).status_code == 403
    done(acting.post("/users", new | {"roles": ["staff"]}), 201)
    with pytest.raises(DBAPIError, match="does not change"):
        world.sql("UPDATE user_role SET ends_at = '2030-01-01 00:00:00' WHERE role = 'head' AND ends_at IS NOT NULL")
    world.clock.advance(days=3)
    assert world.client(STAFF).get("/users").status_code == 403  # the worker has not run
    with world.context() as ctx:
        assert end_roles(ctx) == 1
    assert state_of(world, STAFF) == ("active", {"staff"})


def test_an_acting_head_becomes_head_for_good_and_what_had_passed_passes_on_again(sqlite_world: World) -> None:
    world = sqlite_world
    waiting = world.submitted(HEAD, "R")
    succeeded(world, until="2026-11-25")
    assert proposed(world, outgoing=None).status_code == 422  # the acting head is a living head
    made = done(proposed(world, outgoing=HEAD), 202)
    done(decided(world, made["id"]))
    assert done(world.client(STAFF).get("/me"))["roles_until"] == {}
    body = {"change": "enable"}
    done(world.client(STAFF).post(f"/users/{world.users[HEAD]}/changes", body))
    back = done(proposed(world, STAFF, outgoing=STAFF, successor=HEAD), 202)
    assert [one["id"] for one in back["passes"]] == [waiting["id"]]


def test_an_acting_head_signs_papers_as_such_and_is_nobodys_head_any_more_once_lapsed(sqlite_world: World) -> None:
    world, office = sqlite_world, sqlite_world.organisation_of(STAFF)
    succeeded(world, until="2026-11-25", former="staff")
    with world.acting(STAFF) as ctx:
        signatory, head = acting_signatory(ctx), find_head(ctx, office)
        assert signatory is not None
        assert head is not None
        assert (signatory.position, head.name) == ("Plt. Kepala", signatory.name)
    world.clock.advance(days=3)
    with world.context() as ctx:
        assert find_head(ctx, office) is None


def test_of_fifty_who_decide_at_once_one_does(world: World) -> None:
    made = done(proposed(world), 202)
    path, body = f"/user-changes/{made['id']}/decision", {"decision": "execute"}
    answers = run_simultaneously([partial(world.client("admin2").post, path, body) for _ in range(50)])
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 409, 503}
    assert world.sql(
        "SELECT COUNT(*) FROM user_role WHERE role = 'head' AND until IS NULL AND user_id = :id", id=world.users[STAFF].hex
    ) in ([(1,)],)


REFUSED: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("admin1", {"outgoing": None}, 422),
    ("admin1", {"outgoing": "bangli.kepala"}, 422),
    ("admin1", {"outgoing": STAFF}, 422),
    ("admin1", {"successor": HEAD}, 409),
    ("admin1", {"successor": "bangli.kepala"}, 422),
    ("admin1", {"organisation": "admin1"}, 422),
    ("admin1", {"decree_date": "2027-01-01"}, 422),
    ("admin1", {"decree_number": "---"}, 422),
    ("admin1", {"until": "2026-11-22"}, 422),
    ("admin1", {"until": "2028-11-25"}, 422),
    ("admin1", {"former": "head"}, 422),
    ("admin1", {"invited": NEW_HEAD | {"id_number": "12"}}, 422),
    (HEAD, {"organisation": "bangli.kepala"}, 404),
    (STAFF, {}, 403),
    ("operator1", {}, 403),
)


def test_what_is_no_succession_is_refused_and_leaves_nothing(sqlite_world: World) -> None:
    world = sqlite_world
    for who, changes, status in REFUSED:
        named = {name: world.users.get(value, value) if isinstance(value, str) else value for name, value in changes.items()}
        if "organisation" in changes:
            named["organisation"] = world.organisation_of(changes["organisation"])
        given = {name: str(value) if isinstance(value, UUID) else value for name, value in named.items()}
        assert proposed(world, who, **{"organisation": str(world.organisation_of(HEAD))} | given).status_code == status, (who, changes)
    assert world.client("admin1").send("/head-successions", {"decree_number": "1/2"}).status_code == 422
    assert world.sql("SELECT COUNT(*) FROM user_change") == [(0,)]
    assert world.client("admin1").post(f"/central-users/{world.users[HEAD]}/changes", {"change": "disable"}).json["type"].endswith(":head")


def test_the_database_refuses_what_the_service_would(world: World) -> None:
    made = done(proposed(world), 202)
    for sql, says in (
        ("UPDATE head_succession SET former = 'staff'", "does not change"),
        ("DELETE FROM head_succession", "nothing is deleted"),
        (f"INSERT INTO passed_work ({PASSED}) SELECT id, 'handover', id, successor_id FROM head_succession", "an executed succession"),
    ):
        with pytest.raises(DBAPIError, match=says):
            world.sql(sql)
    by = (
        "UPDATE user_change SET state = 'executed', revision = 2, decided_at = '2026-11-23 04:00:00',"
        " act_id = (SELECT id FROM audit_entry WHERE id <> user_change.act_id LIMIT 1),"
        " decided_by_person = (SELECT person_id FROM user_account WHERE username = 'operator1')"
    )
    with pytest.raises(DBAPIError, match="two user administrators"):
        world.sql(by)
    assert done(world.client("admin1").get(f"/head-successions/{made['id']}"))["state"] == "proposed"
