"""Migrations: upgrades of databases with data on both kinds, the lock while they run, and the check of the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Uuid, bindparam, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from sifilma.fsck.run import examine
from sifilma.kernel import triggers
from sifilma.kernel.db import make_engine
from sifilma.kernel.errors import Conflict
from sifilma.kernel.ids import uuid7
from sifilma.notifications.contract import Fault
from sifilma.schema import migrate
from sifilma.sign_in.resealing import seal_what_stands
from tests.activation.bulk.sheets import rows_of, sent, sheet, worked
from tests.fsck.conftest import installation
from tests.schema.first import BACK_TO_0009, back_to_0001, back_to_0012, back_to_0014
from tests.support.databases import Cluster
from tests.support.world import World, done, new_uid


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    cluster: Cluster = request.getfixturevalue("pg_cluster")
    return cluster.url(cluster.create())


def upgraded(world: World) -> None:
    """Migrate as `sifilma db upgrade` does: what stood before there were seals is sealed."""
    migrate.upgrade(world.settings.database_url, seal=lambda connection, _: seal_what_stands(connection, world.settings, world.clock))


def test_an_empty_database_is_upgraded_to_the_schema_of_the_code(empty: str) -> None:
    migrate.upgrade(empty)
    found = migrate.check(empty)
    assert found.ok, found
    migrate.upgrade(empty)  # a second upgrade has nothing to do
    assert migrate.check(empty).ok


ROWS = (
    "INSERT INTO organisation (id, kind, name, address, created_at) VALUES (:a, 'regency_office', 'Dinas', '', '2026-01-01 00:00:00+00')",
    "INSERT INTO region (code, name, level, version, valid_from) VALUES ('35', 'JAWA TIMUR', 1, '4.0.1', '2026-01-01 00:00:00+00')",
    "INSERT INTO status_list (number, size, next_index, changes) VALUES (1, 8, 3, 1)",
    (
        "INSERT INTO audit_entry (id, at, action, object_kind, object_id, request_id, ip, data)"
        " VALUES (:b, '2026-01-01 00:00:00+00', 'organisation.register', 'organisation', 'x', 'r', '', '{}')"
    ),
)
PEOPLE = (
    (
        "INSERT INTO person (id, identity, id_kind, id_number, name, email, phone)"
        " VALUES (:a, 'nip:1', 'nip', '1', 'Satria', 'a@contoh.example', '+62812')"
    ),
    *(
        (
            "INSERT INTO user_account (id, person_id, organisation_id, username, roles, state, password_hash, totp_last_step, created_at)"
            f" VALUES ({account}, :a, :a, '{name}', 'head', 'invited', '', 0, '2026-01-01 00:00:00+00')"
        )
        for account, name in ((":b", "second"), (":a", "first"))
    ),
)


def test_an_upgrade_keeps_the_data_and_installs_the_rules_again(empty: str) -> None:
    """The upgrade from 0001 to the head rebuilds tables on SQLite; batch mode drops their triggers."""
    migrate.upgrade(empty, "0001")
    engine = make_engine(empty, pool_size=1)
    with engine.begin() as connection:
        for row in (*ROWS, *PEOPLE):
            connection.execute(text(row), {"a": "0" * 31 + "1", "b": "0" * 31 + "2"} if ":" in row else {})
    migrate.upgrade(empty)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT name FROM organisation")).scalars().all() == ["Dinas"]
        assert connection.execute(text("SELECT next_index FROM status_list")).scalar() == 3
        assert triggers.missing(connection) == (set(), set())
        assert [tuple(row) for row in connection.execute(text("SELECT username, email, phone FROM user_account ORDER BY username"))] == [
            ("first", "a@contoh.example", "+62812"),
            ("second", "", ""),  # an account in another organisation, which did not write this address
        ]
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text("UPDATE audit_entry SET action = 'access.denied'"))
    engine.dispose()
    assert migrate.check(empty).ok


def test_a_lived_in_database_is_migrated_without_losing_a_row(world: World) -> None:
    """The tables that 0002 and 0003 rebuild on SQLite keep their rows, their rules and the rows that refer to them."""
    world.active(count=2)
    before = world.sql("SELECT id, latitude_e7, place_source_sha256 FROM activation ORDER BY id")
    recorded = "SELECT id, action, data FROM audit_entry WHERE action NOT IN ('seal.vouch', 'rows.adopt') ORDER BY id"
    entries = world.sql(recorded)
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.begin() as connection:
        triggers.uninstall(connection)
        back_to_0012(connection)
        for statement in back_to_0001(engine.dialect.name):
            connection.execute(text(statement))
    engine.dispose()
    upgraded(world)
    assert world.sql("SELECT id, latitude_e7, place_source_sha256 FROM activation ORDER BY id") == before
    assert world.sql(recorded) == entries
    assert world.sql("SELECT entry_id FROM audit_pending ORDER BY entry_id") == world.sql(
        "SELECT id FROM audit_entry ORDER BY id"
    )  # each entry waits for the log
    salts = {bytes(salt) for (salt,) in world.sql("SELECT salt FROM audit_entry")}
    assert (len(salts), {len(salt) for salt in salts}) == (len(entries) + 2, {16})
    assert migrate.check(world.settings.database_url).ok
    with pytest.raises(DBAPIError):
        world.sql("DELETE FROM activation")


def test_the_migration_keeps_one_of_two_duplicates(world: World) -> None:
    """Two cards of one unit and two proposals for one manifest: 0010 keeps the active card and the first proposal."""
    world.active()
    world.personalised()
    manifest = world.sql("SELECT id FROM manifest")[0][0]
    path = f"/manifests/{UUID(str(manifest))}/revoke"
    done(world.client("operator1").post(path, {"reason": "mesin dicuri"}), 202)
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.begin() as connection:
        triggers.uninstall(connection)
        back_to_0012(connection)
        for statement in BACK_TO_0009:
            connection.execute(text(statement))
        connection.execute(text("UPDATE card SET unit_id = (SELECT id FROM unit)"))
        columns = "manifest_id, reason, state, proposed_by_person, proposed_at, act_id"
        twin = f"INSERT INTO revocation (id, {columns}) SELECT :id, {columns} FROM revocation"
        connection.execute(text(twin).bindparams(bindparam("id", uuid7(), Uuid())))
    engine.dispose()
    upgraded(world)
    assert migrate.check(world.settings.database_url).ok
    assert sorted(world.sql("SELECT state, unit_id IS NULL FROM card")) == [("active", False), ("personalised", True)]
    assert world.sql("SELECT state FROM revocation ORDER BY id") == [("proposed",), ("rejected",)]
    steps = "SELECT from_state, to_state, user_id IS NULL FROM history WHERE object_kind = 'revocation' ORDER BY id"
    assert world.sql(steps) == [("", "proposed", False), ("", "proposed", False), ("proposed", "rejected", True)]
    assert world.sql("SELECT COUNT(*) FROM audit_pending WHERE entry_id IN (SELECT act_id FROM revocation WHERE state = 'rejected')") == [
        (1,)
    ]
    assert lives(world) == []


STEPS = (
    "SELECT object_kind, object_id, from_state, to_state, at, user_id, note, act_id FROM history"
    " WHERE object_kind = :kind ORDER BY object_id, id"
)
LAST = "SELECT id, state, revision, changed_at, changed_by, change_note, act_id FROM {table} ORDER BY id"


def of_proposals(world: World) -> dict[str, list[Any]]:
    """The steps and the rows of revocations and changes of accounts."""
    kinds = ("revocation", "user_change")
    rows = {kind: world.sql(LAST.format(table=kind)) for kind in kinds}
    return rows | {f"steps of {kind}": world.sql(STEPS, kind=kind) for kind in kinds}


def lives(world: World) -> list[str]:
    """What the invariants of histories find."""
    names = ["state-last-step", "steps-in-table", "steps-join", "history-object", "step-act", "act-step", "four-eyes"]
    return [str(finding) for finding in examine(installation(world), names).findings]


def test_proposals_of_every_state_are_given_the_steps_they_took(world: World) -> None:
    """0013 writes from the record of acts what the triggers would have written."""
    _, answers = world.active(count=3)
    paths = [f"/manifests/{answer['manifest']['id']}/revoke" for answer in answers]
    for path in paths:
        done(world.client("operator1").post(path, {"reason": "mesin dicuri"}), 202)
    done(world.client("penyetuju1").post(paths[0], {"decision": "reject", "reason": "tidak terbukti"}))
    world.clock.advance(minutes=1)
    done(world.client("operator1").post(paths[0], {"reason": "sekali lagi"}), 202)
    done(world.client("penyetuju1").post(paths[1], {"reason": "benar"}))
    admin1, admin2 = world.client("admin1"), world.client("admin2")
    changes = [
        done(admin1.post(f"/central-users/{world.users[who]}/changes", {"change": "disable", "reason": "cuti"}), 202)["id"]
        for who in ("operator1", "operator2", "penyetuju2")
    ]
    done(admin2.post(f"/user-changes/{changes[0]}/decision", {"decision": "execute"}))
    done(admin2.post(f"/user-changes/{changes[1]}/decision", {"decision": "reject"}))
    before = of_proposals(world)
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.begin() as connection:
        triggers.uninstall(connection)
        back_to_0012(connection)
    engine.dispose()
    upgraded(world)
    assert migrate.check(world.settings.database_url).ok
    assert of_proposals(world) == before
    assert lives(world) == []
    with pytest.raises(IntegrityError):
        world.sql("UPDATE user_change SET state = 'rejected' WHERE state = 'proposed'")
    done(world.client("admin2").post(f"/user-changes/{changes[2]}/decision", {"decision": "execute"}))
    done(world.client("penyetuju1").post(paths[2]))
    assert lives(world) == []


def test_jobs_of_every_state_are_kept_and_can_be_cancelled(world: World) -> None:
    """0015 rebuilds the table of jobs on SQLite."""
    office, kept = world.client("magetan.kepala"), "SELECT id, state, total, done, failed, revision, ended_at, act_id FROM job ORDER BY id"
    rows = rows_of(world.ready("magetan.kepala", "R", 2))
    sent(office, sheet([rows[0], [new_uid(), *rows[0][1:]]]))
    worked(world)
    open_job = sent(office, sheet(rows[1:]))
    before = world.sql(kept), world.sql("SELECT * FROM job_row ORDER BY job_id, number")
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":  # possible outside a transaction only: the table is rebuilt
            driver: Any = connection.connection.dbapi_connection
            driver.execute("PRAGMA foreign_keys=OFF")
        triggers.uninstall(connection)
        connection.execute(text("UPDATE job SET sealed = cells FROM job_line WHERE job_line.job_id = job.id"))
        back_to_0014(connection)
        connection.commit()
    engine.dispose()
    upgraded(world)
    found = migrate.check(world.settings.database_url)
    assert found.ok, found
    assert (world.sql(kept), world.sql("SELECT * FROM job_row ORDER BY job_id, number")) == before
    assert world.sql("SELECT tries, served, working_on, waiting_since, length(sealed) > 0 FROM job ORDER BY id")[1] == (
        0,
        0,
        None,
        None,
        True,
    )
    assert done(world.client("magetan.kepala").post(f"/jobs/{open_job['id']}/cancel"))["state"] == "cancelled"
    with pytest.raises(IntegrityError):
        world.sql("UPDATE job SET sealed = :sealed WHERE state = 'cancelled'", sealed=b"x")
    with pytest.raises(IntegrityError):
        world.sql("UPDATE job SET tries = -1")
    assert lives(world) == []


def test_the_database_wipes_the_secrets_of_a_job_that_ends_and_loses_no_row(world: World) -> None:
    sent(world.client("magetan.kepala"), sheet(rows_of(world.ready("magetan.kepala", "R", 1))))
    with pytest.raises(IntegrityError):
        world.sql("DELETE FROM job_line")
    assert world.sql("SELECT secret IS NOT NULL FROM job_line") == [(True,)]
    act = "(SELECT id FROM audit_entry ORDER BY id LIMIT 1)"
    world.sql(f"UPDATE job SET state = 'cancelled', revision = revision + 1, act_id = {act}")
    assert world.sql("SELECT secret IS NOT NULL FROM job_line") == [(False,)]


FAULTS = {
    "its time was over before it could be sent": "expired",
    "this channel is not switched on": "channel-off",
    "no message can be made of this (ValueError)": "unsendable: ValueError",
    "A sealed value cannot be opened: the secret key of this installation has changed.": "key-changed",
    "the mail server cannot be reached: ConnectionRefusedError": "mail-unreachable: ConnectionRefusedError",
    "the mail server refuses this address (550)": "mail-address-refused: 550",
    "the mail server answers 421": "mail-refused: 421",
    "the SMS centre cannot be reached: ConnectionError": "sms-unreachable: ConnectionError",
    "the SMS centre refuses it (status 11)": "sms-refused: 11",
    "the SMS centre took only a part of the message": "sms-partial",
    "the gateway cannot be reached: ConnectError": "gateway-unreachable: ConnectError",
    "the gateway answers 422": "gateway-refused: 422",
    "": "",
    "a sentence of somebody else (x)": "a sentence of somebody else (x)",
}


def test_sentences_of_faults_become_codes(empty: str) -> None:
    """Every sentence that was ever written to the outbox before 0014; others, and messages without a fault, stay as they are."""
    migrate.upgrade(empty, "0012")
    engine = make_engine(empty, pool_size=1)
    insert = text(
        "INSERT INTO outbox_message"
        " (id, channel, purpose, shown_to, sealed, state, tries, created_at, due_at, lapses_at, reference, last_error)"
        " VALUES (:id, 'sms', 'notice', '', :sealed, 'failed', 1, :at, :at, :at, :was, :was)"
    )
    with engine.begin() as connection:
        for was in FAULTS:
            values = {"id": uuid7().hex, "sealed": b"", "at": "2026-01-01 00:00:00+00", "was": was}
            connection.execute(insert, values)
    migrate.upgrade(empty)
    with engine.begin() as connection:
        found = {row.reference: row.last_error for row in connection.execute(text("SELECT reference, last_error FROM outbox_message"))}
    engine.dispose()
    assert found == FAULTS
    assert {code.partition(":")[0] for was, code in FAULTS.items() if was != code} == set(Fault)


def test_a_second_simultaneous_migration_is_refused_at_once(empty: str) -> None:
    migrate.upgrade(empty, "0001")
    engine = make_engine(empty, pool_size=2)
    with migrate.migration_lock(engine), pytest.raises(Conflict, match="another migration is running"):
        migrate.upgrade(empty)
    engine.dispose()
    migrate.upgrade(empty)


def test_the_lock_file_is_kept_for_the_next_migration(tmp_path: Path) -> None:
    """If its holder deleted the file, two processes could hold the lock: one that waits for the old file, one that makes a new file."""
    engine = make_engine(f"sqlite:///{tmp_path / 'empty.db'}", pool_size=1)
    lock = tmp_path / "empty.db.migrating"
    with migrate.migration_lock(engine):
        first = lock.stat().st_ino
    with migrate.migration_lock(engine):
        assert lock.stat().st_ino == first
    engine.dispose()


def test_a_migration_that_fails_leaves_the_database_as_it_was(empty: str) -> None:
    migrate.upgrade(empty, "0001")
    engine = make_engine(empty, pool_size=1)
    with engine.begin() as connection:
        connection.execute(text("CREATE INDEX ix_token_state_expires_at ON token (state)"))  # 0002 fails on this table
    with pytest.raises(DBAPIError):
        migrate.upgrade(empty)
    with engine.begin() as connection:
        assert migrate.current(connection) == "0001"
        columns = connection.execute(text("SELECT COUNT(*) FROM activation")).scalar()
        assert columns == 0
        connection.execute(text("DROP INDEX ix_token_state_expires_at"))
    engine.dispose()
    migrate.upgrade(empty)
    assert migrate.check(empty).ok


def test_the_check_reports_a_missing_rule_an_unknown_one_and_a_missing_column(empty: str) -> None:
    migrate.upgrade(empty)
    engine = make_engine(empty, pool_size=1)
    with engine.begin() as connection:
        name = sorted(triggers.installed(connection))[0]
        connection.execute(text(f"DROP TRIGGER {name}" if engine.dialect.name == "sqlite" else f"DROP FUNCTION {name}() CASCADE"))
        connection.execute(text("ALTER TABLE throttle ADD COLUMN planted INTEGER"))
    engine.dispose()
    found = migrate.check(empty)
    assert not found.ok
    assert found.missing_rules == [name]
    assert any("planted" in difference for difference in found.differences)
