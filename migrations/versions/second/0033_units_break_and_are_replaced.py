"""Units have a condition, corrections by two persons, and replacements; models a set of functions. The units there are work.

Each unit gets the step it has taken, with the audit entry that recorded it first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
PROPOSED = sa.text("state = 'proposed'")
OPEN_LETTER = sa.text("state NOT IN ('rejected', 'cancelled')")
KINDS = "kind IN ('new', 'relocation', 'renewal', 'replacement')"
FIRST = "SELECT d.act_id FROM row_digest d WHERE d.kind = 'unit' AND d.object_id = unit.id AND d.version = 1"
FACT = "SELECT e.{column} FROM audit_entry e WHERE e.id = unit.act_id"
STEP = """
    INSERT INTO history (object_kind, object_id, from_state, to_state, at, user_id, note, act_id)
    SELECT 'unit', id, '', state, changed_at, changed_by, change_note, act_id FROM unit ORDER BY id
"""


def upgrade() -> None:
    _give_units_a_condition()
    _make_corrections()
    _make_replacements()
    with op.batch_alter_table("device_model") as batch:
        batch.alter_column("function", existing_type=sa.String(2), type_=sa.String(5), existing_nullable=False)
        batch.create_check_constraint(op.f("ck_device_model_function"), "function IN ('R', 'RW', 'R RW')")


def _give_units_a_condition() -> None:
    columns = (
        ("state", sa.String(20)),
        ("revision", sa.Integer()),
        ("changed_at", MOMENT),
        ("change_note", sa.Text()),
        ("act_id", sa.Uuid()),
    )
    for name, kind in (*columns, ("changed_by", sa.Uuid())):
        op.add_column("unit", sa.Column(name, kind, nullable=True))
    op.execute(f"UPDATE unit SET state = 'working', revision = 1, change_note = '', act_id = ({FIRST})")  # noqa: S608  # constants
    op.execute(f"UPDATE unit SET changed_at = ({FACT.format(column='at')}), changed_by = ({FACT.format(column='user_id')})")  # noqa: S608  # constants
    op.execute(STEP)
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no table is altered while a check on its rows waits
    with op.batch_alter_table("unit") as batch:
        for name, kind in columns:
            batch.alter_column(name, existing_type=kind, nullable=False)
        batch.create_foreign_key(op.f("fk_unit_act_id"), "audit_entry", ["act_id"], ["id"], initially="DEFERRED", deferrable=True)
        batch.create_check_constraint(op.f("ck_unit_state"), "state IN ('working', 'broken', 'retired')")
    op.create_index(op.f("ix_unit_state"), "unit", ["state"])


def _make_corrections() -> None:
    op.create_table(
        "unit_correction",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("hardware_number", sa.String(40), nullable=True),
        sa.Column("pcid", sa.String(32), nullable=True),
        sa.Column("former_hardware_number", sa.String(40), nullable=False),
        sa.Column("former_pcid", sa.String(32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_at", MOMENT, nullable=False),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("proposed_by_person", sa.Uuid(), nullable=False),
        sa.Column("decided_by_person", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("state IN ('proposed', 'executed', 'rejected')", name=op.f("ck_unit_correction_state")),
        sa.CheckConstraint("hardware_number IS NOT NULL OR pcid IS NOT NULL", name=op.f("ck_unit_correction_something")),
        sa.CheckConstraint("pcid IS NULL OR (length(pcid) = 32 AND pcid = upper(pcid))", name=op.f("ck_unit_correction_pcid")),
        sa.ForeignKeyConstraint(["unit_id"], ["unit.id"], name=op.f("fk_unit_correction_unit_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_unit_correction_organisation_id")),
        sa.ForeignKeyConstraint(["proposed_by_person"], ["person.id"], name=op.f("fk_unit_correction_proposed_by_person")),
        sa.ForeignKeyConstraint(["decided_by_person"], ["person.id"], name=op.f("fk_unit_correction_decided_by_person")),
        sa.ForeignKeyConstraint(
            ["act_id"], ["audit_entry.id"], name=op.f("fk_unit_correction_act_id"), initially="DEFERRED", deferrable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unit_correction")),
    )
    waits = {"sqlite_where": PROPOSED, "postgresql_where": PROPOSED}
    op.create_index("uq_unit_correction_proposed", "unit_correction", ["unit_id"], unique=True, **waits)
    op.create_index(op.f("ix_unit_correction_unit_id_id"), "unit_correction", ["unit_id", "id"])
    op.create_index(op.f("ix_unit_correction_organisation_id_id"), "unit_correction", ["organisation_id", "id"])
    op.create_index(op.f("ix_unit_correction_state"), "unit_correction", ["state"])


def _make_replacements() -> None:
    letter = "uq_activation_request_letter"
    op.drop_index(letter, "activation_request")  # a rebuilt table would lose its condition
    with op.batch_alter_table("activation_request") as batch:
        batch.drop_constraint(op.f("ck_activation_request_kind"), type_="check")
        batch.alter_column("kind", existing_type=sa.String(10), type_=sa.String(20), existing_nullable=False)
        batch.create_check_constraint(op.f("ck_activation_request_kind"), KINDS)
    where = {"sqlite_where": OPEN_LETTER, "postgresql_where": OPEN_LETTER}
    op.create_index(letter, "activation_request", ["organisation_id", "letter_key", "letter_date"], unique=True, **where)
    with op.batch_alter_table("activation_request_card") as batch:
        for name in ("unit_id", "former_unit_id"):
            batch.add_column(sa.Column(name, sa.Uuid(), nullable=True))
            batch.create_foreign_key(op.f(f"fk_activation_request_card_{name}"), "unit", [name], ["id"])
        batch.add_column(sa.Column("reason", sa.Text(), server_default="", nullable=False))
        batch.create_check_constraint(op.f("ck_activation_request_card_replacement"), "(unit_id IS NULL) = (former_unit_id IS NULL)")
        batch.create_check_constraint(op.f("ck_activation_request_card_reason"), "unit_id IS NULL OR reason <> ''")
    op.create_index(op.f("ix_activation_request_card_unit_id"), "activation_request_card", ["unit_id"])
