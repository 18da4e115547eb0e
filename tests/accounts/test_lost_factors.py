"""A lost second factor: one person reports it, another agrees, and from then on earlier sessions, codes and passkeys are refused."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.demo.facts import Account
from sifilma.identity.models import User
from sifilma.kernel.actor import Actor, Role
from sifilma.notifications.delivery import deliver
from sifilma.sign_in import passkeys, recovery_codes
from sifilma.sign_in.models import Passkey
from tests.accounts.known_people import further_account
from tests.accounts.test_people import taken_up
from tests.accounts.test_views import link_of, opens, state_of
from tests.notifications import receivers
from tests.support.visitor import Visitor, english
from tests.support.world import PASSWORD, World, done

REASON = "Ponsel hilang, ia datang sendiri"


def report(world: World, who: str, whom: str) -> Any:
    """Report a user's second factor as lost on the page; return the answer."""
    return Visitor(world, who).send(f"/pengguna/{world.users[whom]}/faktor-hilang", reason=REASON)


def waiting(world: World) -> str:
    """Return the id of the newest proposal."""
    [(found,)] = world.sql("SELECT id FROM user_change ORDER BY id DESC LIMIT 1")
    return str(UUID(str(found)))


def decide(world: World, who: str, decision: str = "execute") -> Any:
    """Decide on the newest proposal on the page; return the answer."""
    return Visitor(world, who).send(f"/pengguna/usulan/{waiting(world)}/faktor-hilang", decision=decision)


def second_head(world: World) -> None:
    """Add another head to the office in Magetan."""
    home = next(name for name, key in world.organisations.items() if key == world.organisation_of("magetan.kepala"))
    with world.context() as ctx:
        world.add_user(ctx, Account("magetan.wakil", "Bayu Contoh", home, frozenset({Role.HEAD}), "M-9001"))


def factors(world: World, username: str) -> tuple[int, int]:
    """Return the numbers of valid recovery codes and passkeys."""
    with world.context() as ctx:
        return recovery_codes.left(ctx, world.users[username]), len(passkeys.of_user(ctx, world.users[username]))


def equip(world: World, username: str) -> None:
    """Give a user recovery codes and a passkey."""
    user = world.users[username]
    with world.context(Actor(user_id=user)) as ctx:
        recovery_codes.make(ctx, world.settings)
        ctx.session.add(Passkey(user_id=user, name="Ponsel", credential_id=user.bytes, public_key=b"2", sign_count=0, created_at=ctx.now))


def test_two_administrators_replace_the_factor_of_a_head_and_end_everything_from_before(world: World) -> None:
    head = Visitor(world, "magetan.kepala")
    equip(world, "magetan.kepala")
    assert report(world, "admin1", "magetan.kepala").status_code == 303
    assert (state_of(world, "magetan.kepala"), head.get("/").status_code) == ("active", 200)  # a report by one person changes nothing
    assert decide(world, "admin1").status_code == 403
    assert factors(world, "magetan.kepala") == (10, 1)
    world.clock.advance(seconds=1)
    secret = link_of(decide(world, "admin2"))
    assert (state_of(world, "magetan.kepala"), factors(world, "magetan.kepala")) == ("invited", (0, 0))
    assert head.get("/profil").status_code == 303
    assert world.anonymous().post("/session", {"username": "magetan.kepala", "password": PASSWORD}).status_code == 401
    assert decide(world, "admin2").status_code == 409
    assert [row[0] for row in world.sql("SELECT action FROM audit_entry WHERE action LIKE 'user.%' ORDER BY id DESC LIMIT 3")] == [
        "user.invite",
        "user.change_approve",
        "user.change_propose",
    ]
    assert opens(world, secret)


def test_the_person_enrols_again_with_the_link(world: World) -> None:
    report(world, "admin1", "magetan.kepala")
    secret = link_of(decide(world, "admin2"))
    assert taken_up(world, secret) == 204
    assert (state_of(world, "magetan.kepala"), opens(world, secret)) == ("active", False)
    with pytest.raises(DBAPIError):  # the agreement of two persons permits one replacement
        world.sql("UPDATE user_account SET state = 'invited', totp_sealed = NULL, seal = NULL WHERE username = 'magetan.kepala'")


def test_another_head_decides_on_the_lost_factor_of_staff(world: World) -> None:
    second_head(world)
    world.clock.advance(days=8)  # both have been heads for some time
    assert report(world, "magetan.kepala", "magetan.staf").status_code == 303
    world.clock.advance(hours=25)  # the person had time to object
    admin, other = Visitor(world, "admin1"), Visitor(world, "magetan.wakil")
    admin.get("/pengguna/usulan")
    assert "Kepala lain di organisasi itu yang memutuskan ini." in admin.seen
    assert decide(world, "admin1").status_code == 403
    other.get("/")
    assert "Putuskan perubahan akun" in other.seen
    assert opens(world, link_of(decide(world, "magetan.wakil")))
    assert state_of(world, "magetan.staf") == "invited"


def test_an_administrator_decides_where_there_is_only_one_head(world: World) -> None:
    assert report(world, "magetan.kepala", "magetan.staf").status_code == 303
    assert decide(world, "magetan.kepala").status_code == 403
    assert decide(world, "bangli.kepala").status_code == 404
    admin = Visitor(world, "admin1")
    admin.get("/")
    assert "Putuskan perubahan akun" in admin.seen
    assert opens(world, link_of(decide(world, "admin1")))


@pytest.mark.parametrize(
    ("who", "whom", "status"),
    [
        ("magetan.kepala", "magetan.kepala", 403),  # nobody reports their own factor
        ("admin1", "admin1", 403),
        ("admin1", "magetan.staf", 409),  # the head of the organisation must report it
        ("magetan.staf", "magetan.kepala", 403),
        ("magetan.kepala", "bangli.kepala", 404),
        ("operator1", "magetan.kepala", 403),
        ("auditor1", "magetan.kepala", 403),
    ],
)
def test_a_report_by_somebody_who_may_not_is_refused(sqlite_world: World, who: str, whom: str, status: int) -> None:
    assert report(sqlite_world, who, whom).status_code == status
    assert sqlite_world.sql("SELECT count(*) FROM user_change") == [(0,)]


def test_a_head_may_not_report_another_head(sqlite_world: World) -> None:
    second_head(sqlite_world)
    assert report(sqlite_world, "magetan.kepala", "magetan.wakil").status_code == 409
    assert report(sqlite_world, "admin1", "magetan.wakil").status_code == 303
    assert decide(sqlite_world, "magetan.kepala").status_code == 403


def test_a_withdrawn_or_rejected_proposal_changes_nothing(world: World) -> None:
    for who in ("admin1", "admin2"):
        assert report(world, "admin1", "operator1").status_code == 303
        assert report(world, "admin2", "operator1").status_code == 409  # one proposal at a time
        assert decide(world, who, "reject").status_code == 303
    assert state_of(world, "operator1") == "active"
    assert world.sql("SELECT count(*) FROM invitation") == [(0,)]


def test_a_report_needs_a_reason_and_a_fresh_code(sqlite_world: World) -> None:
    head = Visitor(sqlite_world, "magetan.kepala")
    path = f"/pengguna/{sqlite_world.users['magetan.staf']}/faktor-hilang"
    answer = head.send(path, reason="ya")
    assert (answer.status_code, "Alasan memerlukan paling sedikit 3 karakter." in head.seen) == (422, True)
    assert Visitor(sqlite_world, "magetan.kepala", fresh=False).send(path, reason=REASON).status_code == 403


def test_the_api_reports_and_decides_in_the_same_way(world: World) -> None:
    admin, other = world.client("admin1"), world.client("admin2")
    proposed = done(admin.post(f"/users/{world.users['magetan.kepala']}/lost-factor", {"reason": REASON}), 202)
    path = f"/user-changes/{proposed['id']}/lost-factor-decision"
    assert admin.post(path, {"decision": "execute"}).status_code == 403
    assert (
        other.post(f"/user-changes/{proposed['id']}/decision", {"decision": "execute"}).status_code == 409
    )  # not the endpoint for lost factors
    link = done(other.post(path, {"decision": "execute"}))["invitation"]
    assert opens(world, link.rpartition("/")[2])


def told(world: World) -> list[tuple[str, str]]:
    """Deliver what waits to a real mail server and a real gateway. Return addresses and texts."""
    with receivers.mail_server() as mails, receivers.gateway() as gateway:
        ports = {"smtp_port": mails.port, "sms_webhook_url": f"http://127.0.0.1:{gateway.port}/sms"}
        deliver(world.context, world.settings.model_copy(update=ports))
    letters = [(str(message["To"]), message.get_payload(decode=True).decode()) for _, message in mails.items]
    return letters + [(body["to"], body["text"]) for _, body in gateway.items]


def reachable(world: World) -> None:
    """Give the head in Magetan both addresses, and their person a further account with an address of its own."""
    world.configure(smtp_host="127.0.0.1", smtp_security="none", sms_webhook_url="http://127.0.0.1:9/sms")
    further_account(world, "magetan.kepala", "lain", "jatim.kepala", Role.STAFF)
    world.change(User, email=lambda user: f"{user.username}@contoh.example", phone="+6281200000001", notices="")


def test_the_person_is_told_by_every_channel_at_the_report_and_at_the_decision_without_the_link(sqlite_world: World) -> None:
    world = sqlite_world
    reachable(world)
    report(world, "admin1", "magetan.kepala")
    everywhere = ["+6281200000001", "lain@contoh.example", "magetan.kepala@contoh.example"]
    first = told(world)
    assert sorted(address for address, _ in first) == everywhere
    assert all("/profil/permintaan" in text for _, text in first)
    assert any("masuklah dan ajukan keberatan sekarang" in text for _, text in first)
    secret = link_of(decide(world, "admin2"))
    second = told(world)
    assert sorted(address for address, _ in second) == everywhere
    assert any("telah berakhir" in text for _, text in second)
    assert secret not in str(second)
    assert "/undangan/" not in str(second)


def objected(world: World, who: str, **fields: Any) -> Any:
    return Visitor(world, who, fresh=not fields).send(f"/profil/permintaan/keberatan/{waiting(world)}", **fields)


def test_the_person_objects_from_their_working_account_with_the_factor_that_is_not_lost(world: World) -> None:
    report(world, "admin1", "magetan.kepala")
    world.clock.advance(minutes=1)
    page = english(world, "magetan.kepala").text("/profil/permintaan")
    assert "Your second factor was reported as lost" in page
    assert REASON in page
    assert "object if it is not" in english(world, "magetan.kepala").text("/")
    assert objected(world, "magetan.staf").status_code == 404
    assert objected(world, "magetan.kepala", otp_code="000000").status_code == 403
    assert objected(world, "magetan.kepala", otp_code=world.code("magetan.kepala")).status_code == 303
    assert world.sql("SELECT state FROM user_change") == [("rejected",)]
    assert world.sql("SELECT action FROM audit_entry WHERE object_kind = 'user_change' ORDER BY id DESC LIMIT 1") == [
        ("user.factor_object",)
    ]
    assert decide(world, "admin2").status_code == 409
    assert "Objected: the second factor is not lost" in english(world, "admin1").text(f"/pengguna/{world.users['magetan.kepala']}")


def test_an_objection_over_the_api_needs_a_code_given_since_the_report(world: World) -> None:
    before = world.client("magetan.kepala")
    world.clock.advance(seconds=1)
    report(world, "admin1", "magetan.kepala")
    [found] = done(before.get("/me/lost-factor-reports"))["items"]
    path = f"/me/lost-factor-reports/{found['id']}/objection"
    assert before.post(path).json["type"].endswith(":step-up-required")  # the code is fresh, but of before the report
    assert world.client("magetan.staf").post(path).status_code == 404
    assert done(world.client("magetan.kepala").post(path))["state"] == "rejected"
    assert done(before.get("/me/lost-factor-reports"))["items"] == []


def enrolled_head(world: World, inviter: str, username: str, number: str) -> None:
    """Have a head invite another head, whoever that is, and take the account up with the link."""
    new = {"username": username, "name": "Orang Karangan", "id_kind": "employee", "id_number": number, "roles": ["head"]}
    secret = done(world.client(inviter).post("/users", new), 201)["invitation"].rpartition("/")[2]
    assert taken_up(world, secret) == 204
    world.users[username] = UUID(str(world.sql("SELECT id FROM user_account WHERE username = :name", name=username)[0][0]))


@pytest.mark.parametrize(
    ("proposer", "decider"),
    [
        ("magetan.kepala", "palsu1"),  # the inviter proposes, the invention decides
        ("palsu1", "magetan.kepala"),  # the other way round
        ("magetan.kepala", "palsu2"),  # an invention of the invention
        ("palsu1", "palsu2"),
    ],
)
def test_a_head_and_their_inventions_do_not_decide_with_each_other(world: World, proposer: str, decider: str) -> None:
    world.clock.advance(days=8)
    enrolled_head(world, "magetan.kepala", "palsu1", "P-1")
    enrolled_head(world, "palsu1", "palsu2", "P-2")
    world.clock.advance(days=5)
    assert report(world, proposer, "magetan.staf").status_code == 303
    world.clock.advance(days=2, hours=12)
    assert decide(world, decider).status_code == 403
    assert "Putuskan perubahan akun" not in Visitor(world, decider).get("/").get_data(as_text=True)
    for change in ("", f", decided_at = '{world.clock.now().replace(tzinfo=None)}'"):
        with pytest.raises(DBAPIError, match=r"lately|heads"):
            world.sql(f"{STEP}{change}, decided_by_person = (SELECT person_id FROM user_account WHERE username = :who)", who=decider)
    assert state_of(world, "magetan.staf") == "active"
    assert opens(world, link_of(decide(world, "admin1")))  # a user administrator decides instead


def test_a_member_of_staff_made_head_just_now_is_no_second_person(world: World) -> None:
    world.clock.advance(days=30)
    enrolled_head(world, "magetan.kepala", "palsu1", "P-1")
    done(world.client("magetan.kepala").post(f"/users/{world.users['palsu1']}/changes", {"change": "roles", "roles": ["staff"]}))
    world.clock.advance(days=30)
    done(world.client("magetan.kepala").post(f"/users/{world.users['palsu1']}/changes", {"change": "roles", "roles": ["head"]}))
    report(world, "magetan.kepala", "magetan.staf")
    world.clock.advance(days=2)
    assert decide(world, "palsu1").status_code == 403
    world.clock.advance(days=30)
    assert decide(world, "palsu1").status_code == 403  # it goes by who was there at the report
    assert decide(world, "magetan.kepala", "reject").status_code == 303
    report(world, "magetan.kepala", "magetan.staf")
    world.clock.advance(hours=23)
    assert decide(world, "palsu1").status_code == 403  # the person still has time to object
    world.clock.advance(hours=2)
    assert opens(world, link_of(decide(world, "palsu1")))


def test_an_administrator_who_invited_the_reporting_head_does_not_decide(world: World) -> None:
    world.change_account("magetan.kepala", state="disabled")
    new = {"username": "palsu", "name": "Orang Karangan", "id_kind": "employee", "id_number": "P-1", "roles": ["head"]}
    new["organisation"] = str(world.organisation_of("magetan.kepala"))
    secret = done(world.client("admin1").post("/central-users", new), 201)["invitation"].rpartition("/")[2]
    assert taken_up(world, secret) == 204
    world.users["palsu"] = UUID(str(world.sql("SELECT id FROM user_account WHERE username = 'palsu'")[0][0]))
    assert report(world, "palsu", "magetan.staf").status_code == 303
    assert decide(world, "admin1").status_code == 403
    with pytest.raises(DBAPIError, match="lately"):
        world.sql(f"{STEP}, decided_by_person = (SELECT person_id FROM user_account WHERE username = 'admin1')")
    assert opens(world, link_of(decide(world, "admin2")))


def test_two_administrators_who_replaced_a_heads_factor_can_still_decide_on_what_the_head_reports(sqlite_world: World) -> None:
    world = sqlite_world
    report(world, "admin1", "magetan.kepala")
    assert taken_up(world, link_of(decide(world, "admin2"))) == 204
    report(world, "magetan.kepala", "magetan.staf")
    assert decide(world, "admin2").status_code == 403  # saw the link, and could have taken it up
    assert opens(world, link_of(decide(world, "admin1")))


def test_an_administrator_made_by_another_lately_does_not_decide_with_them(world: World) -> None:
    new = {"username": "admin9", "name": "Vina Contoh", "id_kind": "employee", "id_number": "P-9", "roles": ["user_admin"]}
    proposed = done(world.client("admin1").post("/central-users", new | {"organisation": str(world.organisation_of("admin1"))}), 202)
    link = done(world.client("admin2").post(f"/user-changes/{proposed['proposal']}/decision", {"decision": "execute"}))["invitation"]
    assert taken_up(world, link.rpartition("/")[2]) == 204
    world.users["admin9"] = UUID(str(world.sql("SELECT id FROM user_account WHERE username = 'admin9'")[0][0]))
    for maker in ("admin1", "admin2"):  # one proposed, one executed
        assert report(world, maker, "magetan.kepala").status_code == 303
        assert decide(world, "admin9").status_code == 403
        assert decide(world, maker, "reject").status_code == 303
    world.clock.advance(days=8)
    assert report(world, "admin1", "magetan.kepala").status_code == 303
    assert opens(world, link_of(decide(world, "admin9")))


STEP = "UPDATE user_change SET state = 'executed', revision = revision + 1, act_id = id"
"""A step as the life cycle wants it: what is refused is refused for the person."""


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE user_account SET state = 'invited', totp_sealed = NULL, seal = NULL WHERE username = 'magetan.kepala'",
        f"{STEP}, decided_by_person = proposed_by_person",
        (f"{STEP}, decided_by_person = (SELECT person_id FROM user_account WHERE username = 'magetan.kepala')"),
        "UPDATE user_change SET user_id = (SELECT id FROM user_account WHERE username = 'bangli.kepala')",
        (
            "INSERT INTO invitation (id, user_id, token_hash, expires_at, created_at, change_id)"
            " SELECT id, user_id, 'x', proposed_at, proposed_at, id FROM user_change"
        ),
    ],
)
def test_the_database_refuses_a_replacement_by_one_person(world: World, statement: str) -> None:
    report(world, "admin1", "magetan.kepala")
    with pytest.raises(DBAPIError):
        world.sql(statement)
