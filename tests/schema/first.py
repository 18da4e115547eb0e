"""A database of today brought back to one of the first revisions, up to 0018, with its data, so that a test can migrate it forward."""

from __future__ import annotations

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, String, text

from tests.schema.second import back_to_0019


def back_to_0018(connection: Connection) -> None:
    """Undo 0019, and what came after it, on a database without triggers."""
    back_to_0019(connection)
    connection.execute(text(
        "ALTER TABLE user_account ADD COLUMN roles VARCHAR(100) DEFAULT '' NOT NULL CONSTRAINT ck_user_account_auditor_alone"
        " CHECK (roles NOT LIKE '%auditor%' OR roles = 'auditor') CONSTRAINT ck_user_account_admin_never_approver"
        " CHECK (NOT (roles LIKE '%user_admin%' AND roles LIKE '%approver%'))"
    ))  # fmt: skip
    for user, role in connection.execute(text("SELECT user_id, role FROM user_role WHERE until IS NULL ORDER BY role")).all():
        connection.execute(text("UPDATE user_account SET roles = TRIM(roles || ' ' || :role) WHERE id = :id"), {"role": role, "id": user})
    connection.execute(text("DROP TABLE user_role"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0018'"))


AFTER_0015 = (
    "ALTER TABLE idempotency_key DROP COLUMN claim",
    "DROP INDEX ix_published_status_list_issued_at",
    *(f"DROP TABLE {table}" for table in ("heartbeat", "trusted_time", "clock_stop")),
)


def back_to_0014(connection: Connection) -> None:
    """Undo 0015 and what came after it on a database without triggers."""
    back_to_0018(connection)
    for statement in AFTER_0015:
        connection.execute(text(statement))
    undo = Operations(MigrationContext.configure(connection))
    undo.drop_table("job_line")
    for index in ("ix_job_served", "ix_job_organisation_id_served"):
        undo.drop_index(index, "job")
    with undo.batch_alter_table("job") as batch:
        for check in ("tries", "state", "wiped"):
            batch.drop_constraint(f"ck_job_{check}", type_="check")
        for column in ("waiting_since", "tries", "working_on", "served"):
            batch.drop_column(column)
        batch.create_check_constraint("ck_job_state", "state IN ('queued', 'running', 'completed', 'stopped')")
        batch.create_check_constraint("ck_job_wiped", "state NOT IN ('completed', 'stopped') OR length(sealed) = 0")
    connection.execute(text("UPDATE alembic_version SET version_num = '0014'"))


def back_to_0012(connection: Connection) -> None:
    """Undo 0013, and what came after it, on a database without triggers, its index of what waits included."""
    back_to_0014(connection)
    connection.execute(text("DELETE FROM history WHERE object_kind IN ('revocation', 'user_change')"))
    undo = Operations(MigrationContext.configure(connection))
    undo.drop_index("ix_revocation_state", "revocation")
    waits = text("state = 'proposed'")
    for table, key in (("revocation", "manifest_id"), ("user_change", "user_id")):
        undo.drop_index(f"uq_{table}_proposed", table)
        with undo.batch_alter_table(table) as batch:
            for column in ("revision", "changed_at", "changed_by", "change_note"):
                batch.drop_column(column)
            if table == "user_change":
                batch.drop_constraint("fk_user_change_act_id", type_="foreignkey")
                batch.drop_column("act_id")
            else:
                batch.alter_column("state", existing_type=String(20), type_=String(10), existing_nullable=False)
        undo.create_index(f"uq_{table}_proposed", table, [key], unique=True, sqlite_where=waits, postgresql_where=waits)
    connection.execute(text("UPDATE alembic_version SET version_num = '0012'"))


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


def back_to_0001(dialect: str) -> list[str]:
    """Return SQL that undoes the migrations on a database without triggers."""
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
