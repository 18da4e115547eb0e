"""Who was reminded of what, and which proposal an invitation came from."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "digest",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_digest")),
    )
    op.create_index(op.f("ix_digest_due_at"), "digest", ["due_at"])
    op.create_table(
        "reminder",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("task", sa.String(40), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("occasion", sa.String(40), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminder")),
        sa.UniqueConstraint("user_id", "task", "object_id", "occasion", name=op.f("uq_reminder_user_id_task_object_id_occasion")),
    )
    op.add_column("invitation", sa.Column("change_id", sa.Uuid(), nullable=True))
    op.create_index(op.f("ix_invitation_change_id"), "invitation", ["change_id"], unique=True)
