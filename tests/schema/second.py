"""A database of today brought back to a revision up to 0037, with its data, so that a test can migrate it forward."""

from __future__ import annotations

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, String, text

from tests.schema.earlier import back_to_0040

BACK_TO_0020 = (
    "DROP TABLE account_consent",
    *(f"DROP INDEX {index}" for index in ("ix_person_claims", "ix_invitation_consent_id")),
    "ALTER TABLE person DROP COLUMN claims",
    *(f"ALTER TABLE invitation DROP COLUMN {column}" for column in ("browser_hash", "views", "consent_id")),
    *(f"ALTER TABLE user_change DROP COLUMN {column}" for column in ("known_before", "heads_from")),
    "UPDATE alembic_version SET version_num = '0020'",
)


def back_to_0037(connection: Connection) -> None:
    """Undo 0038 and what came after it on a database without triggers: there are no outlets."""
    back_to_0040(connection)
    for table, column in (("row_digest", "kind"), ("history", "object_kind")):
        connection.execute(text(f"DELETE FROM {table} WHERE {column} = 'outlet'"))
    undo = Operations(MigrationContext.configure(connection))
    undo.drop_index("ix_head_succession_decree_date_id", "head_succession")  # the other one of 0039 goes with its table
    with undo.batch_alter_table("unit") as batch:
        batch.drop_index("ix_unit_outlet_id")
        batch.drop_constraint("fk_unit_outlet_id", type_="foreignkey")
        batch.drop_column("outlet_id")
    undo.drop_table("outlet")
    connection.execute(text("ALTER TABLE user_account DROP COLUMN outlets"))


def back_to_0035(connection: Connection) -> None:
    """Undo 0036 and what came after it without triggers: no place suspends a card, no request is closed, no blanks are counted."""
    back_to_0037(connection)
    undo = Operations(MigrationContext.configure(connection))
    for table in ("place_suspension", "personalisation_closing", "blank_card", "blank_delivery"):
        connection.execute(text(f"DELETE FROM history WHERE object_kind = '{table}'"))
        connection.execute(text(f"DELETE FROM row_digest WHERE kind = '{table}'"))
        undo.drop_table(table)
    # SQLite would rebuild a table that others refer to, within a transaction that holds their keys. 0036 does not mind the wider CHECK.
    if connection.dialect.name == "postgresql":
        undo.drop_constraint("ck_personalisation_request_state", "personalisation_request", type_="check")
        undo.create_check_constraint(
            "ck_personalisation_request_state",
            "personalisation_request",
            "state IN ('draft', 'submitted', 'returned', 'approved', 'rejected', 'personalising', 'completed', 'cancelled')",
        )


CHECKS_BEFORE_0035 = (
    ("user_role", "temporary", "ends_at IS NULL OR (ends_at > since AND role IN ('approver', 'operator'))"),
    ("user_change", "ends", "(change = 'deputy') = (ends_at IS NOT NULL)"),
)


def back_to_0034(connection: Connection) -> None:
    """Undo 0035 on a database without triggers: no head follows another by decree, and none is one until a day."""
    back_to_0035(connection)
    for statement in (
        "DROP TABLE passed_work",
        "DELETE FROM row_digest WHERE kind = 'head_succession'",
        "DROP TABLE head_succession",
    ):
        connection.execute(text(statement))
    undo = Operations(MigrationContext.configure(connection))
    for table, check, condition in CHECKS_BEFORE_0035:
        with undo.batch_alter_table(table) as batch:
            batch.drop_constraint(f"ck_{table}_{check}", type_="check")
            batch.create_check_constraint(f"ck_{table}_{check}", condition)


def back_to_0033(connection: Connection) -> None:
    """Undo 0034, and what came after it, on a database without triggers: visitors ask for nothing."""
    back_to_0034(connection)
    connection.execute(text("DROP TABLE lost_access"))


ADDED_BY_0033 = (
    "DROP INDEX ix_unit_state",
    "DELETE FROM history WHERE object_kind IN ('unit', 'unit_correction')",
    "DROP TABLE unit_correction",
    "DELETE FROM activation_request_card WHERE unit_id IS NOT NULL",
    "UPDATE activation_request SET kind = 'renewal' WHERE kind = 'replacement'",
    "DROP INDEX ix_activation_request_card_unit_id",
)


def back_to_0032(connection: Connection) -> None:
    """Undo 0033, and what came after it, on a database without triggers: units have no condition, and are not replaced."""
    back_to_0033(connection)
    for statement in ADDED_BY_0033:
        connection.execute(text(statement))
    undo = Operations(MigrationContext.configure(connection))
    with undo.batch_alter_table("unit") as batch:
        batch.drop_constraint("ck_unit_state", type_="check")
        for column in ("state", "revision", "changed_at", "changed_by", "change_note", "act_id"):
            batch.drop_column(column)
    with undo.batch_alter_table("activation_request_card") as batch:
        for check in ("replacement", "reason"):
            batch.drop_constraint(f"ck_activation_request_card_{check}", type_="check")
        for column in ("unit_id", "former_unit_id", "reason"):
            batch.drop_column(column)
    connection.execute(text("UPDATE device_model SET function = 'RW' WHERE function = 'R RW'"))
    with undo.batch_alter_table("device_model") as batch:
        batch.drop_constraint("ck_device_model_function", type_="check")
        batch.alter_column("function", existing_type=String(5), type_=String(2), existing_nullable=False)


def back_to_0031(connection: Connection) -> None:
    """Undo 0032, and what came after it, on a database without triggers: every BAST delivers and came whole, no request replaces cards."""
    back_to_0032(connection)
    undo = Operations(MigrationContext.configure(connection))
    connection.execute(text("DELETE FROM issued_paper WHERE object_kind = 'discrepancy'"))
    connection.execute(text("DELETE FROM history WHERE object_kind = 'discrepancy_card'"))
    for table in ("discrepancy_signatory", "discrepancy_card", "discrepancy", "personalisation_replaced"):
        undo.drop_table(table)
    with undo.batch_alter_table("issued_paper") as batch:
        batch.drop_constraint("ck_issued_paper_object_kind", type_="check")
        batch.create_check_constraint("ck_issued_paper_object_kind", "object_kind IN ('handover', 'destruction')")
    named = ("handover_card", "handover_signatory")  # set aside: SQLite rebuilds no table that others name
    for table in named:
        connection.execute(text(f"CREATE TEMPORARY TABLE {table}_aside AS SELECT * FROM {table}"))
        connection.execute(text(f"DELETE FROM {table}"))
    with undo.batch_alter_table("handover") as batch:
        for check in ("kind", "reason", "state"):
            batch.drop_constraint(f"ck_handover_{check}", type_="check")
        for column in ("kind", "reason"):
            batch.drop_column(column)
        batch.create_check_constraint("ck_handover_state", "state IN ('issued', 'received', 'cancelled', 'refused')")
    for table in named:
        connection.execute(text(f"INSERT INTO {table} SELECT * FROM {table}_aside"))
        connection.execute(text(f"DROP TABLE {table}_aside"))


def back_to_0030(connection: Connection) -> None:
    """Undo 0031, and what came after it, on a database without triggers: there is no bell, and nobody has taken any work."""
    back_to_0031(connection)
    for table in ("notice", "assignment"):
        connection.execute(text(f"DROP TABLE {table}"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0030'"))


def back_to_0029(connection: Connection) -> None:
    """Undo 0030 and what came after it on a database without triggers: there are no conversations."""
    back_to_0030(connection)
    for statement in (
        "DROP TABLE conversation_attachment",
        "DELETE FROM row_digest WHERE kind = 'conversation_message'",
        "DROP TABLE conversation_message",
    ):
        connection.execute(text(statement))
    connection.execute(text("UPDATE alembic_version SET version_num = '0029'"))


def back_to_0028(connection: Connection) -> None:
    """Undo 0029, and what came after it, on a database without triggers: what people typed is not kept."""
    back_to_0029(connection)
    for table in ("kept_form", "kept_file", "sent_form"):
        connection.execute(text(f"DROP TABLE {table}"))
    connection.execute(text("DROP INDEX ix_login_session_csrf"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0028'"))


def back_to_0027(connection: Connection) -> None:
    """Undo 0028 as well: keys of letters are numbers in lower case without white space."""
    back_to_0028(connection)
    for table in ("personalisation_request", "activation_request"):
        connection.execute(text(f"UPDATE {table} SET letter_key = lower(replace(letter_number, ' ', ''))"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0027'"))


INDEXES_OF_0026 = (
    "ix_personalisation_request_letter_key_id",
    "ix_activation_request_letter_key_id",
    "ix_organisation_name_id",
    "ix_activation_review_distance",
)


def back_to_0026(connection: Connection) -> None:
    """Undo 0027 as well: failed requests are not stored."""
    back_to_0027(connection)
    connection.execute(text("DROP TABLE failed_request"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0026'"))


def back_to_0025(connection: Connection) -> None:
    """Undo 0026 as well: letters, organisations and reviewed places have no index of their number, name or distance."""
    back_to_0026(connection)
    for index in INDEXES_OF_0026:
        connection.execute(text(f"DROP INDEX {index}"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0025'"))


def back_to_0024(connection: Connection) -> None:
    """Undo what came after 0024 on a database without triggers: papers are not stored, BASTs name no place, signatories or machines."""
    back_to_0025(connection)
    undo = Operations(MigrationContext.configure(connection))
    connection.execute(text("DELETE FROM issued_paper"))
    connection.execute(text("DELETE FROM document WHERE kind IN ('paper', 'agreement')"))
    for table in ("issued_paper", "issuer_code", "handover_signatory"):
        undo.drop_table(table)
    for table, columns in (("handover", ("place",)), ("handover_card", ("machine", "pcid_seal"))):
        for column in columns:
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
    for table in ("agreement", "reference_change"):
        with undo.batch_alter_table(table) as batch:
            batch.drop_constraint(f"fk_{table}_document_id", type_="foreignkey")
            batch.drop_column("document_id")
    connection.execute(text("UPDATE alembic_version SET version_num = '0024'"))


def back_to_0023(connection: Connection) -> None:
    """Undo 0024 on a database without triggers. What entries say of rows stays: they do not change."""
    back_to_0024(connection)
    for table in ("row_finding", "row_round", "row_digest"):
        connection.execute(text(f"DROP TABLE {table}"))
    for table in ("organisation", "person", "device_model", "unit", "agreement"):
        connection.execute(text(f"ALTER TABLE {table} DROP COLUMN version"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0023'"))


def back_to_0022(connection: Connection) -> None:
    """Undo what came after 0022 on a database without triggers."""
    back_to_0023(connection)
    undo = Operations(MigrationContext.configure(connection))
    for table in ("access_review_line", "access_review", "dormant_mark"):
        undo.drop_table(table)
    for table, column in (("user_account", "active_since"), ("user_account", "disabled_at"), ("person", "pseudonym_act_id")):
        connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
    for table, check in (("user_role", "temporary"), ("user_change", "ends")):
        with undo.batch_alter_table(table) as batch:
            batch.drop_constraint(f"ck_{table}_{check}", type_="check")
            batch.drop_column("ends_at")
    connection.execute(text("UPDATE alembic_version SET version_num = '0022'"))


def back_to_0021(connection: Connection) -> None:
    """Undo 0022, and what came after it, on a database without triggers."""
    back_to_0022(connection)
    undo = Operations(MigrationContext.configure(connection))
    connection.execute(text("DELETE FROM history WHERE object_kind IN ('card_report', 'unit_key_change')"))
    with undo.batch_alter_table("unit") as batch:
        batch.drop_column("key_change_id")
    for table in ("unit_key", "unit_key_change", "card_report"):
        undo.drop_table(table)
    for column in ("scopes", "addresses", "expires_at", "last_used_at", "last_used_ip"):
        connection.execute(text(f"ALTER TABLE api_key DROP COLUMN {column}"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0021'"))


def back_to_0020(connection: Connection) -> None:
    """Undo 0021, and what came after it, on a database without triggers, with the record of consents.

    Stand-ins become the people they claim to be.
    """
    back_to_0021(connection)
    connection.execute(text("DELETE FROM history WHERE object_kind = 'account_consent'"))
    connection.execute(text(
        "UPDATE user_account SET person_id = COALESCE((SELECT k.id FROM person p JOIN person k ON k.identity = p.claims"
        " WHERE p.id = user_account.person_id), person_id)"
    ))  # fmt: skip
    connection.execute(text("DELETE FROM person WHERE claims IS NOT NULL AND id NOT IN (SELECT person_id FROM user_account)"))
    connection.execute(text("UPDATE person SET identity = claims WHERE claims IS NOT NULL"))
    for statement in BACK_TO_0020:
        connection.execute(text(statement))
    consents = "SELECT id FROM audit_entry WHERE object_kind = 'account_consent'"
    connection.execute(text(f"DELETE FROM audit_pending WHERE entry_id IN ({consents})"))  # a constant
    connection.execute(text("DELETE FROM audit_entry WHERE object_kind = 'account_consent'"))


def back_to_0019(connection: Connection) -> None:
    """Undo 0020, and what came after it, on a database without triggers."""
    back_to_0020(connection)
    connection.execute(text("DROP INDEX ix_audit_entry_refused_seals"))
    for table in ("user_account", "invitation", "login_session", "api_key", "recovery_code", "passkey", "passkey_challenge"):
        connection.execute(text(f"ALTER TABLE {table} DROP COLUMN seal"))
    for table in ("user_account", "login_session"):
        connection.execute(text(f"ALTER TABLE {table} DROP COLUMN authority_version"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0019'"))
