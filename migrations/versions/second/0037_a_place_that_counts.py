"""A rejected place opens a proposal to suspend its card, with a deadline. Places that were rejected before have none."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "place_suspension",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("activation_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("suspension_id", sa.Uuid(), nullable=True),
        sa.Column("lifted_by_person", sa.Uuid(), nullable=True),
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
        sa.CheckConstraint(
            "state IN ('proposed', 'suspended', 'dropped', 'answered', 'lifted', 'closed')", name=op.f("ck_place_suspension_state")
        ),
        sa.CheckConstraint("state <> 'suspended' OR suspension_id IS NOT NULL", name=op.f("ck_place_suspension_suspended")),
        *(_reference(column, to) for column, to in REFERENCES),
        sa.ForeignKeyConstraint(
            ["act_id"], ["audit_entry.id"], name=op.f("fk_place_suspension_act_id"), initially="DEFERRED", deferrable=True
        ),
        sa.UniqueConstraint("activation_id", name=op.f("uq_place_suspension_activation_id")),
        sa.UniqueConstraint("suspension_id", name=op.f("uq_place_suspension_suspension_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_place_suspension")),
    )
    is_open = sa.text("state IN ('proposed', 'suspended')")
    op.create_index(
        "uq_place_suspension_open", "place_suspension", ["card_id"], unique=True, sqlite_where=is_open, postgresql_where=is_open
    )
    for columns in (("card_id", "id"), ("organisation_id", "id"), ("state", "due_at"), ("state",)):
        op.create_index(op.f(f"ix_place_suspension_{'_'.join(columns)}"), "place_suspension", list(columns))


REFERENCES = (
    ("card_id", "card"),
    ("activation_id", "activation"),
    ("organisation_id", "organisation"),
    ("suspension_id", "card_suspension"),
    ("lifted_by_person", "person"),
    ("proposed_by_person", "person"),
    ("decided_by_person", "person"),
)


def _reference(column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_place_suspension_{column}"))
