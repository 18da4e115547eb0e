"""Receipts that differ from their BAST, BASTs that bring cards back, and requests that replace broken cards.

Every BAST there is delivers, and came whole: nothing of it changes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
MISSING = sa.text("state = 'missing'")


def upgrade() -> None:
    _handovers()
    _papers()
    _discrepancies()
    _signatories()
    _replacements()


def _handovers() -> None:
    op.add_column("handover", sa.Column("kind", sa.String(10), nullable=False, server_default="delivery"))
    op.add_column("handover", sa.Column("reason", sa.String(20), nullable=True))
    with op.batch_alter_table("handover") as batch:
        batch.alter_column("kind", existing_type=sa.String(10), existing_nullable=False, server_default=None)
        batch.drop_constraint(op.f("ck_handover_state"), type_="check")
        batch.create_check_constraint(
            op.f("ck_handover_state"), "state IN ('issued', 'received', 'partly_received', 'cancelled', 'refused')"
        )
        batch.create_check_constraint(op.f("ck_handover_kind"), "kind IN ('delivery', 'return')")
        batch.create_check_constraint(
            op.f("ck_handover_reason"),
            "(kind = 'delivery' AND reason IS NULL) OR"
            " (kind = 'return' AND reason IS NOT NULL AND reason IN ('agreement_ended', 'sanction', 'repair'))",
        )


def _papers() -> None:
    with op.batch_alter_table("issued_paper") as batch:
        batch.drop_constraint(op.f("ck_issued_paper_object_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_issued_paper_object_kind"), "object_kind IN ('handover', 'destruction', 'discrepancy')")


def _discrepancies() -> None:
    op.create_table(
        "discrepancy",
        sa.Column("handover_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(60), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["handover_id"], ["handover.id"], name=op.f("fk_discrepancy_handover_id")),
        sa.ForeignKeyConstraint(["recorded_by"], ["user_account.id"], name=op.f("fk_discrepancy_recorded_by")),
        sa.PrimaryKeyConstraint("handover_id", name=op.f("pk_discrepancy")),
        sa.UniqueConstraint("number", name=op.f("uq_discrepancy_number")),
    )
    op.create_table(
        "discrepancy_card",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("handover_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("police_report", sa.String(100), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "state IN ('missing', 'damaged', 'found', 'sent_again', 'arrived', 'lost')", name=op.f("ck_discrepancy_card_state")
        ),
        sa.CheckConstraint("(state = 'lost') = (police_report <> '')", name=op.f("ck_discrepancy_card_police_report")),
        sa.ForeignKeyConstraint(["handover_id"], ["discrepancy.handover_id"], name=op.f("fk_discrepancy_card_handover_id")),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_discrepancy_card_card_id")),
        sa.ForeignKeyConstraint(
            ["act_id"], ["audit_entry.id"], name=op.f("fk_discrepancy_card_act_id"), deferrable=True, initially="DEFERRED"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discrepancy_card")),
        sa.UniqueConstraint("handover_id", "card_id", name=op.f("uq_discrepancy_card_handover_id_card_id")),
    )
    op.create_index(op.f("ix_discrepancy_card_card_id"), "discrepancy_card", ["card_id"])
    op.create_index(op.f("ix_discrepancy_card_state"), "discrepancy_card", ["state"])
    op.create_index(
        "uq_discrepancy_card_missing", "discrepancy_card", ["card_id"], unique=True, sqlite_where=MISSING, postgresql_where=MISSING
    )


def _signatories() -> None:
    op.create_table(
        "discrepancy_signatory",
        sa.Column("handover_id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.String(10), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("id_kind", sa.String(10), nullable=False),
        sa.Column("id_number", sa.String(40), nullable=False),
        sa.Column("position", sa.String(200), nullable=False),
        sa.CheckConstraint("side IN ('issuer', 'receiver')", name=op.f("ck_discrepancy_signatory_side")),
        sa.ForeignKeyConstraint(["handover_id"], ["discrepancy.handover_id"], name=op.f("fk_discrepancy_signatory_handover_id")),
        sa.PrimaryKeyConstraint("handover_id", "side", name=op.f("pk_discrepancy_signatory")),
    )


def _replacements() -> None:
    op.create_table(
        "personalisation_replaced",
        sa.Column("personalisation_request_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["personalisation_request_id"],
            ["personalisation_request.id"],
            name=op.f("fk_personalisation_replaced_personalisation_request_id"),
        ),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_personalisation_replaced_card_id")),
        sa.PrimaryKeyConstraint("personalisation_request_id", "card_id", name=op.f("pk_personalisation_replaced")),
    )
    op.create_index(op.f("ix_personalisation_replaced_card_id"), "personalisation_replaced", ["card_id"])
