"""Requests are closed with a remainder by two persons, and blank SAMs have a ledger. What was made before is in no ledger."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
STATES = "'draft', 'submitted', 'returned', 'approved', 'rejected', 'personalising', 'completed', 'cancelled', 'closed'"


def upgrade() -> None:
    with op.batch_alter_table("personalisation_request") as batch:
        batch.drop_constraint(op.f("ck_personalisation_request_state"), type_="check")
        batch.create_check_constraint(op.f("ck_personalisation_request_state"), f"state IN ({STATES})")
    _closings()
    _deliveries()
    _blanks()


def _stateful() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
    )


def _reference(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    late = {"initially": "DEFERRED", "deferrable": True} if to == "audit_entry" else {}
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}"), **late)


def _closings() -> None:
    table = "personalisation_closing"
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("personalisation_request_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("remainder", sa.Integer(), nullable=True),
        sa.Column("proposed_at", MOMENT, nullable=False),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("proposed_by_person", sa.Uuid(), nullable=False),
        sa.Column("decided_by_person", sa.Uuid(), nullable=True),
        *_stateful(),
        sa.CheckConstraint("state IN ('proposed', 'executed', 'rejected')", name=op.f(f"ck_{table}_state")),
        sa.CheckConstraint("(state = 'executed') = (remainder IS NOT NULL)", name=op.f(f"ck_{table}_remainder")),
        _reference(table, "personalisation_request_id", "personalisation_request"),
        _reference(table, "proposed_by_person", "person"),
        _reference(table, "decided_by_person", "person"),
        _reference(table, "act_id", "audit_entry"),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    for column in ("personalisation_request_id", "state"):
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
    waits = sa.text("state = 'proposed'")
    op.create_index(f"uq_{table}_proposed", table, ["personalisation_request_id"], unique=True, sqlite_where=waits, postgresql_where=waits)


def _deliveries() -> None:
    table = "blank_delivery"
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(100), nullable=False),
        sa.Column("number_key", sa.String(100), nullable=False),
        sa.Column("supplier", sa.String(200), nullable=False),
        sa.Column("delivered_on", sa.Date(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("cards_sha256", sa.String(64), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("recorded_by_person", sa.Uuid(), nullable=False),
        *_stateful(),
        sa.CheckConstraint("state IN ('recorded', 'cancelled')", name=op.f(f"ck_{table}_state")),
        sa.CheckConstraint("count BETWEEN 1 AND 10000", name=op.f(f"ck_{table}_count")),
        _reference(table, "recorded_by_person", "person"),
        _reference(table, "act_id", "audit_entry"),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    op.create_index(op.f(f"ix_{table}_state"), table, ["state"])
    op.create_index(op.f(f"ix_{table}_delivered_on_id"), table, ["delivered_on", "id"])
    counts = sa.text("state = 'recorded'")
    op.create_index(f"uq_{table}_note", table, ["number_key", "supplier"], unique=True, sqlite_where=counts, postgresql_where=counts)


def _blanks() -> None:
    table = "blank_card"
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("uid", sa.String(16), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("personalisation_request_id", sa.Uuid(), nullable=True),
        *_stateful(),
        sa.CheckConstraint("state IN ('stocked', 'issued', 'personalised', 'failed', 'withdrawn')", name=op.f(f"ck_{table}_state")),
        sa.CheckConstraint("length(uid) = 16 AND uid = upper(uid)", name=op.f(f"ck_{table}_uid")),
        sa.CheckConstraint("state <> 'stocked' OR personalisation_request_id IS NULL", name=op.f(f"ck_{table}_stocked")),
        sa.CheckConstraint(
            "state NOT IN ('issued', 'personalised', 'failed') OR personalisation_request_id IS NOT NULL", name=op.f(f"ck_{table}_issued")
        ),
        _reference(table, "delivery_id", "blank_delivery"),
        _reference(table, "personalisation_request_id", "personalisation_request"),
        _reference(table, "act_id", "audit_entry"),
        sa.UniqueConstraint("delivery_id", "position", name=op.f(f"uq_{table}_delivery_id_position")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    for columns in (("personalisation_request_id",), ("state",), ("state", "id")):
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))
    counts = sa.text("state <> 'withdrawn'")
    op.create_index("uq_blank_card_uid", table, ["uid"], unique=True, sqlite_where=counts, postgresql_where=counts)
