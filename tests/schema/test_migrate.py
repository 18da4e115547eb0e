"""Migrations: forward on both databases with data in place, guarded while they run, and a check that sees what is missing."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Uuid, bindparam, text
from sqlalchemy.exc import DBAPIError

from sifilma.kernel import triggers
from sifilma.kernel.db import make_engine
from sifilma.kernel.errors import Conflict
from sifilma.kernel.ids import uuid7
from sifilma.notifications.contract import Fault
from sifilma.schema import migrate
from tests.support.databases import Cluster
from tests.support.world import World, done


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database nothing was done to yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    cluster: Cluster = request.getfixturevalue("pg_cluster")
    return cluster.url(cluster.create())


def test_an_empty_database_comes_to_the_codes_schema(empty: str) -> None:
    migrate.upgrade(empty)
    found = migrate.check(empty)
    assert found.ok, found
    migrate.upgrade(empty)  # a second time there is nothing to do
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


def test_a_step_forward_keeps_the_data_and_brings_the_rules_back(empty: str) -> None:
    """From 0001 to the head, which rebuilds tables on SQLite (batch mode drops their triggers)."""
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
            ("second", "", ""),  # another organisation's: it never wrote this address
        ]
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text("UPDATE audit_entry SET action = 'access.denied'"))
    engine.dispose()
    assert migrate.check(empty).ok


def test_a_lived_in_database_is_migrated_without_losing_a_row(world: World) -> None:
    """The tables 0002 and 0003 rebuild on SQLite keep their rows, their rules and what refers to them."""
    world.active(count=2)
    before = world.sql("SELECT id, latitude_e7, place_source_sha256 FROM activation ORDER BY id")
    entries = world.sql("SELECT id, action, data FROM audit_entry ORDER BY id")
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.begin() as connection:
        triggers.uninstall(connection)
        for statement in _back_to_0001(engine.dialect.name):
            connection.execute(text(statement))
    engine.dispose()
    migrate.upgrade(world.settings.database_url)
    assert world.sql("SELECT id, latitude_e7, place_source_sha256 FROM activation ORDER BY id") == before
    assert world.sql("SELECT id, action, data FROM audit_entry ORDER BY id") == entries
    assert world.sql("SELECT entry_id FROM audit_pending ORDER BY entry_id") == [(entry[0],) for entry in entries]  # each waits for the log
    salts = {bytes(salt) for (salt,) in world.sql("SELECT salt FROM audit_entry")}
    assert (len(salts), {len(salt) for salt in salts}) == (len(entries), {16})
    assert migrate.check(world.settings.database_url).ok
    with pytest.raises(DBAPIError):
        world.sql("DELETE FROM activation")


def test_of_twins_the_migration_keeps_one(world: World) -> None:
    """Two living cards of one unit, two proposals for one manifest: 0010 leaves the card that works and the first proposal."""
    world.active()
    world.personalised()
    manifest = world.sql("SELECT id FROM manifest")[0][0]
    path = f"/manifests/{UUID(str(manifest))}/revoke"
    done(world.client("operator1").post(path, {"reason": "mesin dicuri"}), 202)
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.begin() as connection:
        triggers.uninstall(connection)
        for statement in BACK_TO_0009:
            connection.execute(text(statement))
        connection.execute(text("UPDATE card SET unit_id = (SELECT id FROM unit)"))
        columns = "manifest_id, reason, state, proposed_by_person, proposed_at, act_id"
        twin = f"INSERT INTO revocation (id, {columns}) SELECT :id, {columns} FROM revocation"
        connection.execute(text(twin).bindparams(bindparam("id", uuid7(), Uuid())))
    engine.dispose()
    migrate.upgrade(world.settings.database_url)
    assert migrate.check(world.settings.database_url).ok
    assert sorted(world.sql("SELECT state, unit_id IS NULL FROM card")) == [("active", False), ("personalised", True)]
    assert world.sql("SELECT state FROM revocation ORDER BY id") == [("proposed",), ("rejected",)]


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


BACK_TO_0009 = (
    *(
        f"DROP INDEX ix_{of}_id"
        for of in ("personalisation_request_letter_date", "activation_request_letter_date", "manifest_refuse_after")
    ),
    *(f"ALTER TABLE person ADD COLUMN {column} DEFAULT '' NOT NULL" for column in ("email VARCHAR(200)", "phone VARCHAR(30)")),
    *(f"ALTER TABLE user_account DROP COLUMN {column}" for column in ("email", "phone")),
    "ALTER TABLE user_change ADD COLUMN is_first BOOLEAN DEFAULT FALSE NOT NULL",
    *(f"DROP INDEX {index}" for index in ("uq_card_living_unit", "uq_revocation_proposed", "uq_user_change_proposed")),
    "CREATE UNIQUE INDEX uq_card_active_unit ON card (unit_id) WHERE state = 'active'",
    "UPDATE alembic_version SET version_num = '0009'",
)


def _back_to_0001(dialect: str) -> list[str]:
    """What undoes the migrations on a database without triggers."""
    return [
        *BACK_TO_0009,
        "DROP TABLE card_photo",
        *(f"DROP INDEX {index}" for index in ("ix_activation_at", "ix_activation_region_code", "ix_audit_entry_user_id")),
        *("DROP TABLE reminder", "DROP TABLE digest", "DROP INDEX ix_invitation_change_id", "ALTER TABLE invitation DROP COLUMN change_id"),
        "DROP TABLE field_note",
        *(f"DROP TABLE {table}" for table in ("job_row", "job")),
        *(f"DROP TABLE {table}" for table in ("reference_change", "model_certificate", "model_case_approval", "model_case")),
        *(f"DROP TABLE {table}" for table in ("passkey_challenge", "passkey", "recovery_code", "sent_code", "outbox_message")),
        *(f"ALTER TABLE user_account DROP COLUMN {column}" for column in ("language", "time_zone", "notices")),
        *(f"DROP TABLE {table}" for table in ("audit_pending", "log_leaf", "log_node", "log_checkpoint")),
        "ALTER TABLE audit_entry DROP COLUMN salt",
        "DROP INDEX ix_token_state_expires_at",
        *(["ALTER TABLE activation DROP CONSTRAINT ck_activation_accuracy"] if dialect == "postgresql" else []),
        "UPDATE alembic_version SET version_num = '0001'",
    ]


def test_a_second_migrator_is_refused_at_once(empty: str) -> None:
    migrate.upgrade(empty, "0001")
    engine = make_engine(empty, pool_size=2)
    with migrate.migration_lock(engine), pytest.raises(Conflict, match="another migration is running"):
        migrate.upgrade(empty)
    engine.dispose()
    migrate.upgrade(empty)


def test_the_lock_of_a_migrator_is_the_same_file_for_the_next(tmp_path: Path) -> None:
    """A file that went away with its holder could be locked twice: by who waits for it, and by who makes it anew."""
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
        connection.execute(text("CREATE INDEX ix_token_state_expires_at ON token (state)"))  # 0002 will trip over it
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


def test_the_check_sees_a_missing_rule_a_strange_one_and_a_missing_column(empty: str) -> None:
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
