"""What somebody with full write access to the database plants: it counts as absent, is told, or `fsck` names it."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from hsm import HSM
from sifilma.audit import rounds
from sifilma.fsck.run import examine
from sifilma.identity.models import LoginSession, User
from sifilma.kernel import seals, triggers
from sifilma.kernel.actor import Actor
from sifilma.kernel.db import Base, db
from sifilma.kernel.errors import Conflict
from sifilma.kernel.ids import uuid7
from sifilma.kernel.seals import Sealed
from sifilma.sign_in import passkeys, recovery_codes, sent_codes
from sifilma.sign_in.authentication import find_actor, secret_hash
from sifilma.sign_in.models import Passkey, PasskeyChallenge, SentCode
from sifilma.sign_in.passkeys import Site
from sifilma.sign_in.passwords import hash_password
from sifilma.web import metrics
from tests.accounts.test_deputies import deputy
from tests.accounts.test_people import PASSWORD as CHOSEN
from tests.accounts.test_people import STAFF, invited, looked
from tests.activation.bulk.sheets import rows_of, sent, sheet, worked
from tests.fsck.conftest import installation
from tests.sign_in.test_codes import password_step, signed_in
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.visitor import english
from tests.support.world import PASSWORD, Client, World, done

HEAD, STAFF_NAME = "magetan.kepala", "magetan.staf"
SESSION = "user_id, csrf, otp_at, otp_tries, created_at, last_seen_at, end_reason, ip, agent, authority_version, seal"
OTHER = "planted" + "x" * 36
KEY = "organisation_id, name, prefix, created_by, created_at, seal, scopes, addresses, expires_at, last_used_ip"


def superuser(world: World, *statements: str, **values: Any) -> None:
    """Run SQL as the owner of the tables: without triggers, which are put back afterwards."""
    with world.app.app_context(), db.engine.begin() as connection:
        triggers.uninstall(connection)
        for statement in statements:
            connection.execute(text(statement), {name: value for name, value in values.items() if f":{name}" in statement})
        triggers.install(connection)


def told(world: World) -> list[str]:
    """Return the kinds of rows whose refusal is in the record."""
    return [kind for (kind,) in world.sql("SELECT DISTINCT object_kind FROM audit_entry WHERE action = 'seal.refused' ORDER BY 1")]


def named(world: World, *invariants: str) -> set[str]:
    """Return which of the invariants find something."""
    return {finding.invariant for finding in examine(installation(world), list(invariants or ("row-sealed",))).findings}


def new_id(world: World) -> str:
    return uuid7().hex if world.settings.database.startswith("sqlite") else str(uuid7())


@pytest.mark.parametrize("who", [HEAD, "penyetuju1"])
def test_a_planted_session_is_nobody_and_is_told(world: World, who: str) -> None:
    counted = metrics.NOT_SEALED.labels("session")._value.get()
    world.client(who)
    copy = f"INSERT INTO login_session (id, token_hash, {SESSION}) SELECT :id, :token, {SESSION} FROM login_session"
    superuser(world, copy, id=new_id(world), token=secret_hash("planted"))
    planted = Client(world, {"Cookie": "sifilma_session=planted"})
    assert [planted.get("/me").status_code for _ in range(12)] == [401] * 12
    assert world.sql("SELECT object_kind, COUNT(*) FROM audit_entry WHERE action = 'seal.refused' GROUP BY 1") == [("session", 10)]
    assert named(world) == {"row-sealed"}
    seen = english(world, "auditor1").text("/")
    assert "1 row of an account, session or key was not written by this service" in seen
    assert "not written by this service" not in english(world, HEAD).text("/")
    assert metrics.NOT_SEALED.labels("session")._value.get() - counted == 12


CENTRAL = "FROM user_account WHERE username = 'admin1'"
CHANGES = {
    "a role is added": (
        "INSERT INTO user_role (id, user_id, role, since) SELECT :id, id, 'head', created_at FROM user_account WHERE username = :who"
    ),
    "a role is taken": "UPDATE user_role SET until = since WHERE user_id = (SELECT id FROM user_account WHERE username = :who)",
    "another password": "UPDATE user_account SET password_hash = :hash WHERE username = :who",
    "another address": "UPDATE user_account SET email = 'x@contoh.example' WHERE username = :who",
    "another number": "UPDATE user_account SET phone = '+628129' WHERE username = :who",
    "another seed": (f"UPDATE user_account SET totp_sealed = (SELECT totp_sealed {CENTRAL}) WHERE username = :who"),
    "another organisation": (f"UPDATE user_account SET organisation_id = (SELECT organisation_id {CENTRAL}) WHERE username = :who"),
    "another person": (f"UPDATE user_account SET person_id = (SELECT person_id {CENTRAL}) WHERE username = :who"),
    "another version": "UPDATE user_account SET authority_version = authority_version + 1 WHERE username = :who",
    "another account's seal": (f"UPDATE user_account SET seal = (SELECT seal {CENTRAL}) WHERE username = :who"),
    "no seal": "UPDATE user_account SET seal = NULL WHERE username = :who",
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES)
def test_a_changed_account_is_nobody(world: World, statement: str) -> None:
    running = world.client(STAFF_NAME)
    superuser(world, statement, who=STAFF_NAME, id=new_id(world), hash=hash_password(CHOSEN))
    assert running.get("/me").status_code == 401
    for password in (PASSWORD, CHOSEN):
        assert world.anonymous().post("/session", {"username": STAFF_NAME, "password": password}).status_code == 401
    assert told(world) == ["user"]
    assert named(world) == {"row-sealed"}
    with pytest.raises(Conflict, match="past the service"):  # no act vouches for what was planted
        world.change_account(STAFF_NAME, language="id", phone="+62811")


def test_a_session_neither_comes_back_nor_becomes_fresh_nor_another_ones(world: World) -> None:
    ended, stale = world.client(STAFF_NAME), world.client(STAFF_NAME, fresh=False)
    assert ended.call("DELETE", "/session").status_code == 204
    superuser(world, "UPDATE login_session SET ended_at = NULL", "UPDATE login_session SET otp_at = last_seen_at")
    assert [client.get("/me").status_code for client in (ended, stale)] == [401, 401]
    other = world.client(STAFF_NAME)
    superuser(world, "UPDATE login_session SET user_id = (SELECT id FROM user_account WHERE username = 'admin1')")
    assert other.get("/me").status_code == 401
    assert told(world) == ["session"]


def test_a_disabled_account_is_not_enabled_by_sql(world: World) -> None:
    world.change_account(STAFF_NAME, state="disabled")
    superuser(world, "UPDATE user_account SET state = 'active' WHERE username = :who", who=STAFF_NAME)
    assert world.anonymous().post("/session", {"username": STAFF_NAME, "password": PASSWORD}).status_code == 401
    with world.context() as ctx:
        assert find_actor(ctx, world.users[STAFF_NAME], None) is None


def test_a_sign_in_that_waits_does_not_outlive_a_change_of_its_account(world: World) -> None:
    waits = password_step(world)
    world.change(User, User.username == STAFF_NAME, phone="+628120000001")
    superuser(world, "UPDATE login_session SET authority_version = authority_version - 1")  # as it was, and the seal with it
    assert waits.post("/session/otp", {"code": world.code(STAFF_NAME)}).status_code == 401


def test_a_planted_or_revived_api_key_is_nobody(world: World) -> None:
    machine = world.machine(next(name for name, key in world.organisations.items() if key == world.organisation_of(HEAD)))
    done(machine.get("/me"))
    superuser(
        world,
        f"INSERT INTO api_key (id, key_hash, {KEY}) SELECT :id, :hash, {KEY} FROM api_key",
        id=new_id(world),
        hash=secret_hash("sf_x"),
    )
    assert Client(world, {"Authorization": "Bearer sf_x"}).get("/me").status_code == 401
    superuser(world, "UPDATE api_key SET scopes = 'read', addresses = '0.0.0.0/0', expires_at = '2099-01-01 00:00:00+00'")
    assert machine.get("/me").status_code == 401
    superuser(world, "UPDATE api_key SET organisation_id = (SELECT organisation_id FROM user_account WHERE username = 'admin1')")
    assert machine.get("/me").status_code == 401
    assert told(world) == ["api_key"]


def test_a_revoked_api_key_is_not_revived(world: World) -> None:
    head = world.client(HEAD)
    made = done(head.post("/api-keys", {"name": "mesin"}), 201)
    machine = Client(world, {"Authorization": f"Bearer {made['key']}"})
    done(machine.get("/me"))
    done(head.call("DELETE", f"/api-keys/{made['id']}"))
    superuser(world, "UPDATE api_key SET revoked_at = NULL")
    assert machine.get("/me").status_code == 401
    assert named(world, "row-sealed", "authority-acts") == {"row-sealed", "authority-acts"}


def test_a_planted_used_or_lapsed_invitation_opens_nothing(world: World) -> None:
    secret = invited(world)
    body = looked(world, secret)
    columns = "user_id, totp_sealed, browser_hash, views, expires_at, created_at, created_by, seal"
    superuser(world, f"INSERT INTO invitation (id, token_hash, {columns}) SELECT :id, :hash, {columns} FROM invitation",
              id=new_id(world), hash=secret_hash(OTHER))  # fmt: skip
    assert world.anonymous().post("/invitations/enrol", body | {"invitation": OTHER}).status_code == 404
    world.clock.advance(days=4)
    superuser(world, "UPDATE invitation SET expires_at = '2099-01-01 00:00:00+00'")
    assert world.anonymous().post("/invitations/enrol", body).status_code == 404
    assert told(world) == ["invitation"]


@pytest.mark.parametrize("planted", ["browser_hash = :hash", "consent_id = :id"])
def test_neither_a_browser_nor_a_consent_is_planted_in_an_invitation(world: World, planted: str) -> None:
    body = looked(world, invited(world))
    superuser(world, f"UPDATE invitation SET {planted}", hash=secret_hash(OTHER), id=new_id(world))
    assert world.anonymous().post("/invitations/enrol", body | {"browser": OTHER}).status_code == 404
    assert told(world) == ["invitation"]


def test_a_used_invitation_does_not_open_a_second_time(world: World) -> None:
    secret = invited(world)
    body = looked(world, secret)
    assert world.anonymous().post("/invitations/enrol", body).status_code == 204
    superuser(
        world,
        "UPDATE invitation SET used_at = NULL",
        "UPDATE user_account SET state = 'invited' WHERE username = :who",
        who=STAFF["username"],
    )
    assert world.anonymous().post("/invitations/enrol", body).status_code == 404


def own(world: World, name: str = STAFF_NAME) -> Actor:
    return Actor(user_id=world.users[name], organisation_id=world.organisation_of(name))


def test_a_used_or_planted_recovery_code_opens_nothing(world: World) -> None:
    with world.context(own(world)) as ctx:
        codes = recovery_codes.make(ctx, world.settings)
    with world.context() as ctx:
        assert recovery_codes.accept(ctx, world.settings, world.users[STAFF_NAME], codes[0])
    superuser(world, "UPDATE recovery_code SET ended_at = NULL")
    with world.context() as ctx:
        assert not recovery_codes.accept(ctx, world.settings, world.users[STAFF_NAME], codes[0])
        assert recovery_codes.left(ctx, world.users[STAFF_NAME]) == 9
    superuser(world, "UPDATE recovery_code SET user_id = (SELECT id FROM user_account WHERE username = 'admin1')")
    with world.context() as ctx:
        assert not recovery_codes.accept(ctx, world.settings, world.users["admin1"], codes[1])
        assert recovery_codes.left(ctx, world.users["admin1"]) == 0
    assert told(world) == ["recovery_code"]


def test_a_planted_passkey_or_challenge_is_not_there(world: World) -> None:
    user, session_id = world.users[STAFF_NAME], uuid7()
    with world.context(own(world)) as ctx:
        ctx.session.add(Passkey(user_id=user, name="Ponsel", credential_id=b"1", public_key=b"2", sign_count=0, created_at=ctx.now))
    world.client(STAFF_NAME)
    with world.context() as ctx:
        assert len(passkeys.of_user(ctx, user)) == 1
        session_id = ctx.session.query(LoginSession.id).scalar()
        passkeys._keep_challenge(ctx, session_id, b"asked")
    superuser(world, "UPDATE passkey SET public_key = :own", "UPDATE passkey_challenge SET challenge = :own", own=b"planted")
    with world.context() as ctx:
        assert passkeys.of_user(ctx, user) == []
        with pytest.raises(Conflict):
            passkeys.accept(ctx, Site("http://localhost:8000"), user, session_id, {})
    assert told(world) == ["passkey", "passkey_challenge"]


def test_a_sent_code_opens_only_the_session_it_was_sent_for(world: World) -> None:
    world.configure(code_channels=("sms",))
    world.change_account(STAFF_NAME, phone="+628120000001")
    world.client(STAFF_NAME), world.client(HEAD)
    with world.context() as ctx:
        mine, theirs = (ctx.session.query(LoginSession.id).filter_by(user_id=world.users[name]).scalar() for name in (STAFF_NAME, HEAD))
        sent_codes.send(ctx, world.settings, ctx.session.get_one(User, world.users[STAFF_NAME]), mine, "sms")
        [row] = ctx.session.query(SentCode).all()
        row.mac = sent_codes._macs(world.settings, row.id, mine, row.expires_at, "123456")[0]  # a code that is known
    superuser(
        world, "UPDATE sent_code SET session_id = :theirs", theirs=theirs.hex if world.settings.database.startswith("sqlite") else theirs
    )
    with world.context() as ctx:
        assert not sent_codes.accept(ctx, world.settings, theirs, "123456")
    superuser(world, "UPDATE sent_code SET session_id = :mine", mine=mine.hex if world.settings.database.startswith("sqlite") else mine)
    with world.context() as ctx:
        assert sent_codes.accept(ctx, world.settings, mine, "123456")


def test_an_old_row_put_back_is_named_by_fsck(world: World) -> None:
    columns = ("state", "password_hash", "authority_version", "seal")
    [before] = world.sql(f"SELECT {', '.join(columns)} FROM user_account WHERE username = :who", who=STAFF_NAME)
    done(world.client(HEAD).post(f"/users/{world.users[STAFF_NAME]}/changes", {"change": "disable"}))
    assert named(world, "row-sealed", "authority-version", "authority-acts", "account-state") == set()
    put = ", ".join(f"{column} = :{column}" for column in columns)
    superuser(world, f"UPDATE user_account SET {put} WHERE username = :who", who=STAFF_NAME, **dict(zip(columns, before, strict=True)))
    assert named(world, "row-sealed", "authority-version") == {"authority-version"}  # the seal is one that the service made
    assert reseal(world, "--vouch", STAFF_NAME)[0] == 0
    assert named(world, "row-sealed", "authority-version") == set()


# --- nobody forgets to seal ------------------------------------------------------------------------------------------


SEALED: list[Any] = [mapper.class_ for mapper in Base.registry.mappers if issubclass(mapper.class_, Sealed)]


def test_the_database_refuses_a_change_of_a_covered_column_that_keeps_the_seal(world: World) -> None:
    user = world.users[STAFF_NAME]
    world.client(STAFF_NAME), world.machine(next(iter(world.organisations))), invited(world)
    with world.context(own(world)) as ctx:
        recovery_codes.make(ctx, world.settings)
        ctx.session.add(Passkey(user_id=user, name="Ponsel", credential_id=b"1", public_key=b"2", sign_count=0, created_at=ctx.now))
        ctx.session.add(
            PasskeyChallenge(session_id=ctx.session.query(LoginSession.id).limit(1).scalar(), challenge=b"asked", expires_at=ctx.now)
        )
    kept = []
    for model in SEALED:
        table = Base.metadata.tables[model.__tablename__]
        for name in (name for name in model.__sealed__ if name in table.columns):
            kind = table.columns[name].type.python_type
            other = {str: "'x'", bytes: "CAST('x' AS BYTEA)", int: f"{name} + 1", UUID: f"'{'0' * 31}9'"}.get(
                kind, "'2001-01-01 00:00:00+00'"
            )
            other = other.replace("BYTEA", "BLOB") if world.settings.database.startswith("sqlite") else other
            try:
                world.sql(f"UPDATE {table.name} SET {name} = {other}")
            except IntegrityError as refused:
                if "changes with its seal" in str(refused) or "does not change" in str(refused) or "keeps its person" in str(refused):
                    continue
                kept.append(f"{table.name}.{name}: {refused.orig}")
            else:
                kept.append(f"{table.name}.{name}")
    assert kept == []


def test_what_a_model_covers_is_the_whole_of_its_authority() -> None:
    """A new column is covered, or is named here because nothing follows from it."""
    free = {
        "user_account": {"totp_last_step", "language", "time_zone", "notices", "created_at", "active_since", "disabled_at"},
        "login_session": {"otp_tries", "last_seen_at", "end_reason", "ip", "agent"},
        "invitation": {"views"},
        "passkey": {"name", "used_at"},
        "api_key": {"last_used_at", "last_used_ip"},
    }
    for model in SEALED:
        table = Base.metadata.tables[model.__tablename__]
        uncovered = {column.name for column in table.columns} - set(model.__sealed__) - {"seal", model.__ends__}
        assert uncovered == free.get(table.name, set()), table.name


def test_two_changes_of_one_account_at_once_leave_it_sealed(postgresql_world: World) -> None:
    world = postgresql_world
    changes: list[Callable[[], Any]] = [
        lambda: world.change_account(STAFF_NAME, phone="+628120000009"),
        lambda: world.change_account(STAFF_NAME, email="x@contoh.example"),
        lambda: world.change_account(STAFF_NAME, password_hash=hash_password(CHOSEN)),
    ]
    run_simultaneously(changes)
    [row] = world.sql("SELECT phone, email, authority_version FROM user_account WHERE username = :who", who=STAFF_NAME)
    assert (row.phone, row.email) == ("+628120000009", "x@contoh.example")
    assert named(world, "row-sealed") == set()


# --- seals made anew -------------------------------------------------------------------------------------------------


def reseal(world: World, *arguments: str) -> tuple[int, str]:
    ran = world.app.test_cli_runner().invoke(args=["users", "reseal", *arguments])
    return ran.exit_code, ran.output


def test_the_administrator_is_told_of_strangers_and_settles_them(world: World) -> None:
    assert reseal(world) == (0, "all current\n")
    world.client(HEAD)
    copy = f"INSERT INTO login_session (id, token_hash, {SESSION}) SELECT :id, :token, {SESSION} FROM login_session"
    superuser(world, copy, "UPDATE user_account SET email = 'x@contoh.example' WHERE username = :who",
              id=new_id(world), token=secret_hash("planted"), who=STAFF_NAME)  # fmt: skip
    status, output = reseal(world)
    assert status == 1
    assert re.findall(r"^(session|user) \S+(?: \((\S+)\))?: its seal does not fit", output, re.M) == [("session", ""), ("user", STAFF_NAME)]
    assert named(world) == {"row-sealed"}  # nothing was sealed silently
    status, output = reseal(world, "--end", "--vouch", STAFF_NAME)
    assert status == 0, output
    assert named(world, "row-sealed", "authority-version", "authority-acts") == set()
    signed_in(world, password_step(world).post("/session/otp", {"code": world.code(STAFF_NAME)}))
    recorded = world.sql("SELECT action, object_kind FROM audit_entry WHERE action LIKE 'seal.%' ORDER BY id")
    assert recorded == [("seal.vouch", "user"), ("seal.end", "session")]


def test_the_secret_key_is_exchanged_while_people_go_on(database_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> None:
    def world(**secrets: Any) -> Any:
        return closing(World(database_url, tmp_path / "home", signing_token, root_token, **secrets))

    old, new = SecretStr("t" * 40), SecretStr("n" * 40)
    with world() as before:
        headers = before.client(STAFF_NAME).headers
        with before.context(own(before)) as ctx:
            codes = recovery_codes.make(ctx, before.settings)
    with world(secret_key=new) as lost:  # without the previous key nobody is anybody
        assert lost.anonymous().post("/session", {"username": STAFF_NAME, "password": PASSWORD}).status_code == 401
    with world(secret_key=new, secret_key_previous=old) as between:
        done(Client(between, headers).get("/me"))
        signed_in(between, password_step(between).post("/session/otp", {"code": codes[0]}))
        status, output = reseal(between)
        assert (status, output) == (0, "9 recovery_code, 1 session, 16 user sealed anew\n")
    with world(secret_key=new) as after:
        after.clock.advance(seconds=1)
        done(Client(after, headers).get("/me"))
        signed_in(after, password_step(after).post("/session/otp", {"code": after.code(STAFF_NAME)}))
        assert named(after, "row-sealed", "seed-opens", "authority-version") == set()


def message(**changes: Any) -> bytes:
    """Return what the seal of a session covers."""
    values: dict[str, Any] = {"id": UUID(int=1), "token_hash": "a", "user_id": UUID(int=2), "csrf": "b", "authority_version": 1}
    return seals._message(LoginSession, [(values | changes).get(name) for name in LoginSession.__sealed__])


def test_a_seal_tells_apart_what_differs() -> None:
    apart = [message(), message(csrf="c"), message(token_hash="ab", csrf=""), message(token_hash="", csrf="ab"), message(csrf=None)]
    alike = [message(csrf="1"), message(csrf=1), message(csrf=b"1"), message(id=UUID(int=2), user_id=UUID(int=1))]
    assert len({*apart, *alike}) == 9
    with pytest.raises(TypeError):
        message(csrf=1.5)


def test_an_end_that_a_superuser_of_the_database_puts_off_makes_the_account_nobody(world: World) -> None:
    deputy(world)
    assert world.client("operator1").get("/me").status_code == 200
    superuser(world, "UPDATE user_role SET ends_at = '2030-01-01 00:00:00.000000' WHERE ends_at IS NOT NULL")
    assert world.client("operator1").get("/me").status_code == 401


@pytest.mark.parametrize("ends", [("undang-ulang",), ("ubah", "disable", "enable")])
def test_a_link_that_lapsed_and_is_put_back_is_named(world: World, ends: tuple[str, ...]) -> None:
    secret = invited(world)
    [(account,)] = world.sql("SELECT id FROM user_account WHERE username = :name", name=STAFF["username"])
    [(link, expires, seal)] = world.sql("SELECT id, expires_at, seal FROM invitation")
    path, changes = ends[0], ends[1:] or ("",)
    for change in changes:
        world.clock.advance(seconds=1)
        assert english(world, HEAD).send(f"/pengguna/{UUID(str(account))}/{path}", change=change).status_code in (201, 303)
    assert world.anonymous().post("/invitations/view", {"invitation": secret}).status_code == 404
    assert named(world, "row-sealed", "authority-acts") == set()
    superuser(world, "UPDATE invitation SET expires_at = :end, seal = :seal WHERE id = :link", end=expires, seal=seal, link=link)
    assert named(world, "row-sealed", "authority-acts") == {"authority-acts"}


def test_a_job_is_done_for_nobody_who_did_not_begin_it(world: World) -> None:
    ready = world.ready(HEAD, "R")
    sent(world.client(STAFF_NAME), sheet(rows_of(ready)))
    to_head = "UPDATE job SET user_id = (SELECT id FROM user_account WHERE username = :who)"
    with pytest.raises(IntegrityError, match="does not change"):
        world.sql(to_head, who=HEAD)
    superuser(world, to_head, who=HEAD)
    assert worked(world) == 0
    assert world.sql("SELECT state FROM job") == [("stopped",)]
    assert named(world, "job-result") == {"job-result"}


def test_an_old_account_that_is_put_back_is_found_by_the_worker(world: World) -> None:
    """Its seal fits and it counts again; the record of acts has a later version."""
    [(state, version, seal)] = world.sql("SELECT state, authority_version, seal FROM user_account WHERE username = :who", who=STAFF_NAME)
    done(world.client(HEAD).post(f"/users/{world.users[STAFF_NAME]}/changes", {"change": "disable"}))
    assert rounds.compare(world.context, seconds=60) == 0
    old = "UPDATE user_account SET state = :state, authority_version = :version, seal = :seal WHERE username = :who"
    superuser(world, old, state=state, version=version, seal=seal, who=STAFF_NAME)
    done(world.client(STAFF_NAME).get("/me"))
    world.clock.advance(minutes=61)
    assert rounds.compare(world.context, seconds=60) == 1
    found = world.sql("SELECT kind, object_id, fault FROM row_finding")
    assert [tuple(one) for one in found] == [("user", str(world.users[STAFF_NAME]), "old")]
    assert "1 row of the database is not what the audit trail says" in english(world, "auditor1").text("/")
    assert world.client("auditor1").get("/audit", limit=5).status_code == 200
