"""A lost second factor: one person reports it, another agrees, and from then on earlier sessions, codes and passkeys are refused."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pyotp
import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.demo.facts import Account
from sifilma.identity.models import User
from sifilma.kernel.actor import Actor, Role
from sifilma.notifications.delivery import deliver
from sifilma.sign_in import passkeys, recovery_codes
from sifilma.sign_in.models import Passkey
from tests.accounts.test_people import seed_of
from tests.accounts.test_views import link_of, opens, state_of
from tests.notifications import receivers
from tests.support.visitor import Visitor
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
    assert head.get("/").status_code == 303
    assert world.anonymous().post("/session", {"username": "magetan.kepala", "password": PASSWORD}).status_code == 401
    assert opens(world, secret)
    assert decide(world, "admin2").status_code == 409
    assert [row[0] for row in world.sql("SELECT action FROM audit_entry WHERE action LIKE 'user.%' ORDER BY id DESC LIMIT 3")] == [
        "user.invite",
        "user.change_approve",
        "user.change_propose",
    ]


def test_the_person_enrols_again_with_the_link(world: World) -> None:
    report(world, "admin1", "magetan.kepala")
    secret = link_of(decide(world, "admin2"))
    code = pyotp.TOTP(seed_of(world, secret)).at(world.clock.now())
    body = {"invitation": secret, "password": "tujuh kuda naik perahu", "code": code}
    assert world.anonymous().post("/invitations/enrol", body).status_code == 204
    assert (state_of(world, "magetan.kepala"), opens(world, secret)) == ("active", False)
    with pytest.raises(DBAPIError):  # the agreement of two persons permits one replacement
        world.sql("UPDATE user_account SET state = 'invited', totp_sealed = NULL, seal = NULL WHERE username = 'magetan.kepala'")


def test_another_head_decides_on_the_lost_factor_of_staff(world: World) -> None:
    second_head(world)
    assert report(world, "magetan.kepala", "magetan.staf").status_code == 303
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
    assert (answer.status_code, "Paling sedikit 3 karakter." in head.seen) == (422, True)
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


def test_the_person_is_notified_by_mail_without_the_link(sqlite_world: World) -> None:
    sqlite_world.configure(smtp_host="127.0.0.1", smtp_security="none")
    sqlite_world.change(User, email="surat@contoh.example")
    sqlite_world.sql("UPDATE user_account SET notices = ''")
    report(sqlite_world, "admin1", "magetan.kepala")
    secret = link_of(decide(sqlite_world, "admin2"))
    with receivers.mail_server() as server:
        deliver(sqlite_world.context, sqlite_world.settings.model_copy(update={"smtp_port": server.port}))
    [(_, message)] = server.items
    text = message.get_payload(decode=True).decode()
    assert "telah berakhir" in text
    assert secret not in text
    assert "/undangan/" not in text


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
