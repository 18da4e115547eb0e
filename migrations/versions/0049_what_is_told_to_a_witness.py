"""What is told to a witness: statements, up to where numbers may leave, and restored databases that are reconciled with it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reserved_number",
        sa.Column("name", sa.String(60), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("reserved", "told", "noted")),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("noted_before", sa.BigInteger(), nullable=False),
        sa.Column("noted_before_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_reserved_number")),
    )
    op.create_table(
        "witness_statement",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(60), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_witness_statement")),
    )
    untold = sa.text("told_at IS NULL")
    op.create_index("ix_witness_statement_untold", "witness_statement", ["number"], sqlite_where=untold, postgresql_where=untold)
    op.create_index("ix_witness_statement_subject", "witness_statement", ["kind", "subject", "value"])
    op.create_table(
        "reconciliation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.String(20), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("own", sa.BigInteger(), nullable=False),
        sa.Column("statements", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("log_name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliation")),
    )
    op.add_column("status_list", sa.Column("moved", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "status_beyond",
        sa.Column("status_list", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("value BETWEEN 0 AND 2", name=op.f("ck_status_beyond_value")),
        sa.ForeignKeyConstraint(["status_list"], ["status_list.number"], name=op.f("fk_status_beyond_status_list")),
        sa.PrimaryKeyConstraint("status_list", "status_index", name=op.f("pk_status_beyond")),
    )
    _questions()


def _questions() -> None:
    op.create_table(
        "open_question",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reconciliation_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("told", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("witnessed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decision", sa.String(20), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("act_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("(decision IS NULL) = (act_id IS NULL)", name=op.f("ck_open_question_decided")),
        sa.ForeignKeyConstraint(["reconciliation_id"], ["reconciliation.id"], name=op.f("fk_open_question_reconciliation_id")),
        sa.ForeignKeyConstraint(["decided_by"], ["user_account.id"], name=op.f("fk_open_question_decided_by")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_open_question_act_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_open_question")),
        sa.UniqueConstraint("reconciliation_id", "kind", "subject", name=op.f("uq_open_question_reconciliation_id_kind_subject")),
    )
    undecided = sa.text("decision IS NULL")
    op.create_index("ix_open_question_undecided", "open_question", ["id"], sqlite_where=undecided, postgresql_where=undecided)
