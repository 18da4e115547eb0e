"""Visitors who cannot sign in ask for help. What they asked is kept for a week."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lost_access",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("username", sa.String(60), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_lost_access_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lost_access")),
        sa.UniqueConstraint("user_id", name=op.f("uq_lost_access_user_id")),
    )
