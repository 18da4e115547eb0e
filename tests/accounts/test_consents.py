"""An existing person is in another organisation's account by their own consent only, and an inviter learns nothing of them."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.accounts import consents
from sifilma.kernel.actor import Role
from sifilma.kernel.db import db
from tests.accounts.known_people import asked, claimed_account, further_account, take_up
from tests.accounts.test_people import STAFF, looked, taken_up
from tests.accounts.test_views import link_of, opens, state_of
from tests.sign_in.test_planted_rows import superuser
from tests.support.counting import counted
from tests.support.visitor import english, words
from tests.support.world import World, done

NIP, BARU = "199505052020032015", "magetan.baru"
"""Those of STAFF."""
PAGE = "/profil/permintaan"


def person_of(world: World, username: str) -> str:
    return str(world.sql("SELECT person_id FROM user_account WHERE username = :name", name=username)[0][0])


def known(world: World) -> None:
    """Make an approver of the directorate who has a NIP, as real ones do."""
    new = STAFF | {"username": "nip.kantor", "name": "Nama Sebenarnya"}
    secret = done(world.client("jatim.kepala").post("/users", new), 201)["invitation"].rpartition("/")[2]
    assert taken_up(world, secret) == 204
    world.users["nip.kantor"] = UUID(str(world.sql("SELECT id FROM user_account WHERE username = 'nip.kantor'")[0][0]))


def invite(world: World, **more: Any) -> Any:
    made = done(world.client("magetan.kepala").post("/users", STAFF | {"name": "Nama Tulisan"} | more), 201)
    world.users[made["user"]["username"]] = UUID(made["user"]["id"])
    return made


def test_an_inviter_enrols_nobody_who_is_known_and_bars_nobody(world: World) -> None:
    """Attack 6: a head invites an approver's number as own staff, enrols, submits, and the real approver is barred."""
    secret = claimed_account(world, "penyetuju1", "magetan.palsu", "magetan.kepala", Role.STAFF)
    for _ in range(2):  # before the worker has asked, and after it
        refused = world.anonymous().post("/invitations/enrol", looked(world, secret))
        assert (refused.status_code, refused.json["type"]) == (409, "urn:sifilma:problem:consent-needed")
        asked(world, "magetan.palsu")
    assert state_of(world, "magetan.palsu") == "invited"
    assert person_of(world, "magetan.palsu") != person_of(world, "penyetuju1")
    request = world.submitted()["id"]
    assert world.approve("personalisation-requests", request, "penyetuju1")["state"] == "submitted"  # one of two


def test_the_answer_to_an_inviter_is_the_same_whether_the_person_is_known_or_not(world: World) -> None:
    known(world)
    head = world.client("magetan.kepala")
    answers, statements = [], []
    for username, number in (("magetan.dikenal", NIP), ("magetan.asing", "199001012015032016")):
        with world.app.app_context(), counted(db.engine) as found:
            made = done(head.post("/users", STAFF | {"name": "Nama Tulisan", "username": username, "id_number": number}), 201)
        statements.append([statement.split()[0] for statement in found.statements])
        with world.context() as ctx:
            consents.ask_known_people(ctx, world.settings)
        page = english(world, "magetan.kepala").get(f"/pengguna/{made['user']['id']}")
        shown = [made["user"]["name"], made["known_otherwise"], made["user"]["state"], *_plain(words(page), username, number)]
        answers.append(shown + _plain(words(english(world, "magetan.kepala").get("/pengguna", nama=username)), username, number))
        answers[-1] += [entry["action"] for entry in _record(world, made["user"]["id"])]
        answers[-1].append(looked(world, made["invitation"].rpartition("/")[2]).keys())
    assert answers[0] == answers[1]
    assert statements[0] == statements[1]
    assert "Nama Sebenarnya" not in english(world, "magetan.kepala").text("/pengguna")
    assert not {action for action in recorded(world, "magetan.kepala") if "consent" in action}


def recorded(world: World, username: str) -> list[str]:
    """Return the acts that an account reads of in the record."""
    return [entry["action"] for entry in done(world.client(username).get("/audit", limit=200))["items"]]


def _plain(page: str, username: str, number: str) -> list[str]:
    """Return the words of a page without what names the account: user name, number, and the id in the address that is printed below."""
    page = re.sub(r"/pengguna/[0-9a-f-]{36}", "/pengguna/…", page)
    return page.replace(username, "…").replace(number[-4:], "…").split()


def _record(world: World, user_id: str) -> list[dict[str, str]]:
    return [{"action": row[0]} for row in world.sql("SELECT action FROM audit_entry WHERE object_id = :id ORDER BY id", id=user_id)]


def test_a_consent_that_is_moved_to_another_person_by_sql_gives_nobody_that_person(world: World) -> None:
    """A head invites themselves and accepts; a superuser then writes the approver's id into question and claim."""
    claimed_account(world, "magetan.kepala", "magetan.palsu", "magetan.kepala", Role.STAFF)
    question = asked(world, "magetan.palsu")
    made = done(world.client("magetan.kepala").post(f"/me/consents/{question}/answer", {"decision": "accept"}))["invitation"]
    approver = "(SELECT p.{} FROM person p JOIN user_account u ON u.person_id = p.id WHERE u.username = 'penyetuju1')"
    superuser(
        world,
        f"UPDATE account_consent SET person_id = {approver.format('id')}",
        f"UPDATE person SET claims = {approver.format('identity')} WHERE claims IS NOT NULL",
    )
    refused = world.anonymous().post("/invitations/enrol", looked(world, made.rpartition("/")[2]))
    assert (refused.status_code, refused.json["type"]) == (409, "urn:sifilma:problem:consent-needed")
    assert person_of(world, "magetan.palsu") != person_of(world, "penyetuju1")


def test_an_auditor_is_invited_like_anybody_else_and_told_themselves_why_they_cannot_accept(sqlite_world: World) -> None:
    world = sqlite_world
    claimed_account(world, "auditor1", "magetan.palsu", "magetan.kepala", Role.STAFF)
    question = asked(world, "magetan.palsu")
    auditor = english(world, "auditor1")
    assert "never meet in one person" in words(auditor.send(f"{PAGE}/{question}/jawab", decision="accept"), 409)
    assert auditor.send(f"{PAGE}/{question}/jawab", decision="refuse").status_code == 303


def test_the_person_is_asked_and_accepts_with_a_link_of_their_own(world: World) -> None:
    world.configure(smtp_host="127.0.0.1", smtp_security="none")
    known(world)
    world.change_account("nip.kantor", email="saya@contoh.example")
    made = invite(world)
    handed_out = made["invitation"].rpartition("/")[2]
    question = asked(world, BARU)
    assert asked(world, BARU) == question  # once
    assert world.sql("SELECT shown_to FROM outbox_message") == [("s•••a@contoh.example",)]
    me = english(world, "nip.kantor")
    assert "A further account is said to be yours" in me.text("/")
    page = me.text(PAGE)
    assert "Further account: Dinas Kependudukan" in page
    assert "magetan.baru" in page
    for other in ("magetan.kepala", "penyetuju1"):
        assert english(world, other).send(f"{PAGE}/{question}/jawab", decision="accept").status_code == 404
    stale = english(world, "nip.kantor", fresh=False)
    assert stale.send(f"{PAGE}/{question}/jawab", decision="accept").status_code == 403
    assert opens(world, me.send(f"{PAGE}/{question}/jawab", decision="accept").headers["Location"].rpartition("/")[2])
    assert not opens(world, handed_out)
    again = done(world.client("magetan.kepala").post(f"/users/{made['user']['id']}/changes", {"change": "disable"}))
    assert again["name"] == "Nama Tulisan"  # until it is taken up
    done(world.client("magetan.kepala").post(f"/users/{made['user']['id']}/changes", {"change": "enable"}))
    second = link_of(english(world, "magetan.kepala").send(f"/pengguna/{made['user']['id']}/undang-ulang"))
    assert taken_up(world, second) == 409  # the consent was given to the person's own link alone
    accepted = done(world.client("nip.kantor").post(f"/me/consents/{question}/answer", {"decision": "accept"}))
    assert taken_up(world, accepted["invitation"].rpartition("/")[2]) == 204
    assert person_of(world, BARU) == person_of(world, "nip.kantor")
    assert "Nama Sebenarnya" in english(world, "magetan.kepala").text("/pengguna")
    entries = world.sql("SELECT action, person_id IS NULL FROM audit_entry WHERE object_kind = 'account_consent' ORDER BY id")
    assert [(action, bool(nobody)) for action, nobody in entries] == [
        ("user.consent_ask", True),
        ("user.consent_accept", False),
        ("user.consent_accept", False),
    ]


def test_a_refused_account_is_never_taken_up_and_not_asked_about_again(world: World) -> None:
    known(world)
    made = invite(world)
    question = asked(world, BARU)
    client = world.client("nip.kantor")
    assert [item["id"] for item in done(client.get("/me/consents"))["items"]] == [str(question)]
    assert done(client.post(f"/me/consents/{question}/answer", {"decision": "refuse"}))["state"] == "refused"
    assert client.post(f"/me/consents/{question}/answer", {"decision": "accept"}).status_code == 404
    second = link_of(english(world, "magetan.kepala").send(f"/pengguna/{made['user']['id']}/undang-ulang"))
    assert asked(world, BARU) == question
    assert taken_up(world, second) == 409
    assert "Refused" not in english(world, "magetan.kepala").text(f"/pengguna/{made['user']['id']}")
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'user.consent_refuse' AND person_id IS NOT NULL") == [(1,)]


def test_a_question_expires_and_a_new_link_asks_again(world: World) -> None:
    known(world)
    made = invite(world)
    first = asked(world, BARU)
    world.clock.advance(days=15)
    assert world.client("nip.kantor").post(f"/me/consents/{first}/answer", {"decision": "accept"}).status_code == 404
    with world.context() as ctx:
        assert consents.expire_consents(ctx) == 1
    assert asked(world, BARU) == first  # no link is open
    link_of(english(world, "magetan.kepala").send(f"/pengguna/{made['user']['id']}/undang-ulang"))
    assert asked(world, BARU) != first


def test_two_administrators_give_the_account_to_a_person_without_a_living_one(world: World) -> None:
    known(world)
    made = invite(world)
    question = asked(world, BARU)
    admin = world.client("admin1")
    assert done(admin.get("/account-consents"))["items"] == []
    assert admin.post(f"/account-consents/{question}/proposal").status_code == 404  # the person answers themselves
    done(world.client("jatim.kepala").post(f"/users/{world.users['nip.kantor']}/changes", {"change": "disable"}))
    assert taken_up(world, made["invitation"].rpartition("/")[2]) == 409
    page = english(world, "admin1").text("/pengguna/usulan")
    assert "Nama Sebenarnya" in page
    assert "Decide on an account for a known person" in english(world, "admin1").text("/")
    assert english(world, "admin1").send(f"/pengguna/usulan/orang/{question}").status_code == 303
    [(change,)] = world.sql("SELECT id FROM user_change")
    path = f"/user-changes/{UUID(str(change))}/decision"
    for page in ("/pengguna/usulan", f"/pengguna/{made['user']['id']}", "/"):
        assert "known person" not in english(world, "magetan.kepala").text(page)
    assert "user.change_propose" not in recorded(world, "magetan.kepala")
    assert world.client("admin1").post(path, {"decision": "execute"}).status_code == 403
    link = done(world.client("admin2").post(path, {"decision": "execute"}))["invitation"].rpartition("/")[2]
    assert taken_up(world, link) == 204
    assert person_of(world, BARU) == person_of(world, "nip.kantor")


def test_whoever_takes_an_identity_up_first_is_the_person_and_the_next_is_asked(world: World) -> None:
    first, second = invite(world), done(world.client("bangli.kepala").post("/users", STAFF | {"username": "bangli.umi"}), 201)
    assert taken_up(world, first["invitation"].rpartition("/")[2]) == 204
    assert taken_up(world, second["invitation"].rpartition("/")[2]) == 409
    world.users["bangli.umi"] = UUID(second["user"]["id"])
    question = asked(world, "bangli.umi")
    with world.acting("magetan.baru") as ctx:
        _, secret = consents.answer(ctx, world.settings, question, accept=True)
    take_up(world, "bangli.umi", secret or "")
    assert person_of(world, "magetan.baru") == person_of(world, "bangli.umi")


APPROVER = "(SELECT person_id FROM user_account WHERE username = 'penyetuju1')"
HEAD = "(SELECT id FROM user_account WHERE username = 'magetan.kepala')"
STEP = "revision = revision + 1, act_id = user_id, changed_by = NULL"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE user_account SET state = 'active', password_hash = 'x', totp_sealed = :blob, seal = NULL WHERE username = 'palsu'",
        f"UPDATE user_account SET seal = NULL, person_id = {APPROVER} WHERE username = 'palsu'",
        "UPDATE person SET claims = NULL WHERE claims IS NOT NULL",
        "UPDATE person SET identity = 'nip:1' WHERE claims IS NOT NULL",
        "UPDATE person SET claims = 'nip:1' WHERE claims IS NULL",
        f"UPDATE account_consent SET state = 'accepted', {STEP}",
        f"UPDATE account_consent SET state = 'accepted', {STEP}, decided_by = user_id",
        f"UPDATE account_consent SET state = 'accepted', {STEP}, decided_by = {HEAD}",
        "UPDATE account_consent SET person_id = (SELECT person_id FROM user_account WHERE username = 'magetan.kepala')",
        (
            "INSERT INTO invitation (id, user_id, token_hash, expires_at, created_at, consent_id)"
            " SELECT id, user_id, 'x', expires_at, asked_at, id FROM account_consent"
        ),
    ],
)
def test_the_database_refuses_an_account_of_somebody_who_did_not_consent(world: World, statement: str) -> None:
    claimed_account(world, "penyetuju1", "palsu", "magetan.kepala", Role.STAFF)
    asked(world, "palsu")
    with pytest.raises(DBAPIError):
        world.sql(statement, **({"blob": b"x" * 60} if ":blob" in statement else {}))


def test_a_person_of_two_accounts_is_one_pair_of_eyes(world: World) -> None:
    further_account(world, "magetan.staf", "x.pusat", "penyetuju1", Role.APPROVER)
    request = world.submitted("magetan.staf")
    answer = world.client("x.pusat").post(f"/personalisation-requests/{request['id']}/approve", {"digest": request["digest"]})
    assert answer.status_code == 403
