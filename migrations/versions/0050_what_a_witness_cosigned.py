"""The cosignatures of a witness are kept beside the checkpoints, and how signing and witnessing stand."""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "log_cosignature",
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("witness", sa.String(250), nullable=False),
        sa.Column("line", sa.String(400), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["size"], ["log_checkpoint.size"], name=op.f("fk_log_cosignature_size")),
        sa.PrimaryKeyConstraint("size", "witness", name=op.f("pk_log_cosignature")),
    )
    op.create_table(
        "log_standing",
        sa.Column("part", sa.String(10), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fault", sa.String(10), nullable=False),
        sa.Column("told", sa.String(300), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("part IN ('signing', 'witness')", name=op.f("ck_log_standing_part")),
        sa.CheckConstraint("fault IN ('', 'away', 'differs', 'forked')", name=op.f("ck_log_standing_fault")),
        sa.PrimaryKeyConstraint("part", name=op.f("pk_log_standing")),
    )
