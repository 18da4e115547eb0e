"""A database of today brought back to an earlier revision, with its data, so that a test can migrate it forward."""

from __future__ import annotations

from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, DateTime, Integer, String, Uuid, text


def switch_keys_off(connection: Connection) -> None:
    """Let SQLite rebuild a table to which others refer: it switches the check off outside a transaction only."""
    if connection.dialect.name == "sqlite":
        for statement in ("COMMIT", "PRAGMA foreign_keys=OFF", "BEGIN"):
            connection.exec_driver_sql(statement)


def files_to_folder(connection: Connection, folder: Path) -> None:
    """Write the stored files into the folder in which versions before 0048 kept them."""
    for sha256, data in connection.execute(text("SELECT sha256, data FROM stored_part ORDER BY sha256, place")).all():
        path = folder / sha256[:2] / sha256[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(data)


def back_to_0053(connection: Connection) -> None:
    """Undo 0054 to 0057 on a database without triggers: nobody has asked for a file."""
    undo = Operations(MigrationContext.configure(connection))
    standing, columns = text("state IN ('active', 'suspended')"), ["organisation_id", "expires_at", "id"]
    undo.drop_index("ix_manifest_standing_ends_of", "manifest")
    undo.create_index("ix_manifest_standing_ends_of", "manifest", columns, sqlite_where=standing, postgresql_where=standing)
    undo.drop_index("ix_unit_outlet_id", "unit")
    undo.create_index("ix_unit_outlet_id", "unit", ["outlet_id"])
    undo.drop_index("ix_outlet_branch_code", "outlet")
    undo.drop_index("ix_card_bought_elsewhere", "card")
    for table, column in (("organisation", "name"), ("person", "name"), ("destruction", "number")):
        undo.drop_index(f"ix_{table}_{column}_part", table)
    for index in ("ix_card_encoders_held", "ix_card_encoders_bought"):
        undo.drop_index(index, "card")
    for table in ("own_file_part", "own_file_rows", "own_file"):
        undo.drop_table(table)
    connection.execute(text("UPDATE alembic_version SET version_num = '0053'"))


def back_to_0052(connection: Connection) -> None:
    """Undo 0053, and what came after it, on a database without triggers that has no job of its kinds: requests have an upper limit."""
    switch_keys_off(connection)
    back_to_0053(connection)
    undo = Operations(MigrationContext.configure(connection))
    undo.drop_table("job_part")
    undo.drop_index("ix_batch_row_odd", "batch_row")
    undo.drop_index("ix_job_subject_id_id", "job")
    with undo.batch_alter_table("batch_row") as batch:
        for column in ("pcid", "sam_uid"):
            batch.drop_constraint(f"uq_batch_row_personalisation_request_id_{column}", type_="unique")
        batch.create_index("ix_batch_row_personalisation_request_id", ["personalisation_request_id"])
    for table, check, condition in (
        ("personalisation_request", "quantity", "quantity BETWEEN 1 AND 100000"),
        ("activation_request", "machines", "machines BETWEEN 1 AND 100000"),
        ("job", "kind", "kind IN ('activation', 'batch')"),
    ):
        with undo.batch_alter_table(table) as batch:
            batch.drop_constraint(f"ck_{table}_{check}", type_="check")
            batch.create_check_constraint(f"ck_{table}_{check}", condition)
    connection.execute(text("UPDATE alembic_version SET version_num = '0052'"))


def back_to_0050(connection: Connection) -> None:
    """Undo 0051 and what came after it on a database without triggers: units without a card are looked for among all others."""
    back_to_0052(connection)
    undo = Operations(MigrationContext.configure(connection))
    for table, indexes in (("card", ("for_another", "used_by_another", "broken", "out_of_use", "state_id")), ("manifest", ("state_id",)),
                           ("token", ("open_of",))):  # fmt: skip
        for index in indexes:
            undo.drop_index(f"ix_{table}_{index}", table)
    if connection.dialect.name == "postgresql":
        for index in ("regency_of", "cell"):
            undo.drop_index(f"ix_activation_{index}", "activation")
    undo.create_index("ix_activation_longitude_e7_latitude_e7", "activation", ["longitude_e7", "latitude_e7"])
    for table in ("card", "manifest", "token"):
        undo.create_index(f"ix_{table}_state", table, ["state"])
    undo.drop_table("free_unit")
    connection.execute(text("UPDATE alembic_version SET version_num = '0050'"))


def back_to_0049(connection: Connection) -> None:
    """Undo 0050, and what came after it, on a database without triggers: nothing was cosigned."""
    back_to_0050(connection)
    undo = Operations(MigrationContext.configure(connection))
    for table in ("log_standing", "log_cosignature"):
        undo.drop_table(table)
    connection.execute(text("UPDATE alembic_version SET version_num = '0049'"))


def back_to_0048(connection: Connection) -> None:
    """Undo 0049, and what came after it, on a database without triggers: nothing is told to a witness."""
    back_to_0049(connection)
    undo = Operations(MigrationContext.configure(connection))
    for table in ("open_question", "reconciliation", "witness_statement", "reserved_number", "status_beyond"):
        undo.drop_table(table)
    connection.execute(text("ALTER TABLE status_list DROP COLUMN moved"))
    connection.execute(text("UPDATE alembic_version SET version_num = '0048'"))


def back_to_0047(connection: Connection) -> None:
    """Undo 0048, and what came after it, on a database without triggers: files and trust state lie in folders."""
    back_to_0048(connection)
    undo = Operations(MigrationContext.configure(connection))
    for table in ("published_trust", "stored_part", "stored_file"):
        undo.drop_table(table)
    connection.execute(text("UPDATE alembic_version SET version_num = '0047'"))


def back_to_0046(connection: Connection) -> None:
    """Undo 0047 on a database without triggers: the cards of a holder have an index by state alone."""
    switch_keys_off(connection)
    back_to_0047(connection)
    undo = Operations(MigrationContext.configure(connection))
    undo.create_index("ix_card_holder_id_state", "card", ["holder_id", "state"])
    undo.drop_index("ix_manifest_standing_ends_of", "manifest")
    undo.drop_index("ix_card_holder_id_state_id", "card")


def back_to_0044(connection: Connection) -> None:
    """Undo 0046 and what came after it on a database without triggers that has no carried activation: no manifest is issued anew."""
    back_to_0046(connection)
    undo = Operations(MigrationContext.configure(connection))
    for table, index in (("token", "uq_token_valid"), ("token", "uq_token_reissue"), ("activation", "ix_activation_stated_by")):
        undo.drop_index(index, table)
    with undo.batch_alter_table("activation") as batch:
        for check in ("source", "stated_by"):
            batch.drop_constraint(f"ck_activation_{check}", type_="check")
        batch.drop_constraint("fk_activation_stated_by", type_="foreignkey")
        batch.drop_column("stated_by")
        batch.create_check_constraint("ck_activation_source", "source IN ('device', 'map', 'typed')")
    with undo.batch_alter_table("token") as batch:
        batch.drop_constraint("fk_token_reissue_id", type_="foreignkey")
        batch.drop_column("reissue_id")
    valid = text("state IN ('issued', 'redeemed')")
    undo.create_index(
        "uq_token_valid", "token", ["activation_request_id", "card_id"], unique=True, sqlite_where=valid, postgresql_where=valid
    )
    for table in ("reissue_card", "reissue"):
        undo.drop_table(table)


def back_to_0043(connection: Connection) -> None:
    """Undo 0044 and what came after it on a database without triggers: cards are tallied without their models, and nothing else is."""
    back_to_0044(connection)
    undo = Operations(MigrationContext.configure(connection))
    for table in ("reader_change", "reader_tally", "activation_tally", "stage_tally", "stage_calendar", "card_tally", "card_tally_change"):
        undo.drop_table(table)
    undo.drop_index("ix_activation_longitude_e7_latitude_e7", "activation")
    undo.drop_index("ix_handover_card_handover_id_position", "handover_card")
    for table, column in (("personalisation_request", "letter_key"), ("activation_request", "letter_key"), ("handover", "number"),
                          ("outlet", "name"), ("outlet", "branch_code"), ("outlet", "address")):  # fmt: skip
        undo.drop_index(f"ix_{table}_{column}_part", table)
    if connection.dialect.name == "postgresql":
        undo.drop_index("ix_activation_regency", "activation")
    for table, count in (("card_tally", "count"), ("card_tally_change", "amount")):  # their content does not matter: it is made anew
        columns = (Column(name, Uuid()) for name in ("holder_id", "buyer_id"))
        undo.create_table(table, *columns, Column("state", String(20)), Column(count, Integer()))


def back_to_0042(connection: Connection) -> None:
    """Undo 0043 and what came after it on a database without triggers: files are leased, and no engine is there."""
    back_to_0043(connection)
    undo = Operations(MigrationContext.configure(connection))
    undo.drop_table("work_run")
    with undo.batch_alter_table("job") as batch:
        for column in ("paused_at", "rate", "measured_at"):
            batch.drop_column(column)
        batch.add_column(Column("taken_until", DateTime(timezone=True), nullable=True))
    if connection.dialect.name == "postgresql":
        connection.execute(text("DROP SCHEMA procrastinate CASCADE"))


def back_to_0040(connection: Connection) -> None:
    """Undo 0041 and what came after it on a database without triggers: no tallies, and all tokens are counted and made at once."""
    back_to_0042(connection)
    undo = Operations(MigrationContext.configure(connection))
    undo.drop_table("token_issue")
    undo.drop_index("uq_token_valid", "token")
    issued = text("state = 'issued'")
    undo.create_index(
        "uq_token_open", "token", ["activation_request_id", "card_id"], unique=True, sqlite_where=issued, postgresql_where=issued
    )
    with undo.batch_alter_table("personalisation_result") as batch:
        for check in ("place", "place_from"):
            batch.drop_constraint(f"ck_personalisation_result_{check}", type_="check")
        batch.drop_constraint("uq_personalisation_result_personalisation_request_id_place", type_="unique")
        batch.drop_column("place")
    for table in ("card_uid", "card_tally", "card_tally_change"):
        undo.drop_table(table)
    for table, name in (("unit", "hardware_number_part"), ("unit", "pcid_part"), ("unit", "organisation_id_id"),
                        ("unit", "model_id_id"), ("card", "holder_id_state"), ("card", "encoders"),
                        ("audit_entry", "action_id"), ("token", "activation_request_id"),
                        ("manifest", "standing_ends"), ("manifest", "expires_at_id")):  # fmt: skip
        undo.drop_index(f"ix_{table}_{name}", table)
    undo.create_index("ix_unit_organisation_id", "unit", ["organisation_id"])
    undo.create_index("ix_manifest_refuse_after_id", "manifest", ["refuse_after", "id"])
