"""What is new for a person (the bell), and who of the directorate has taken which work. Nobody is told of what was before."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _notices()
    _assignments()


def _notices() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("task", sa.String(60), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_notice_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
    )
    unseen = sa.text("seen_at IS NULL")
    columns = ["user_id", "task", "object_id", "title"]
    op.create_index("uq_notice_unseen", "notice", columns, unique=True, sqlite_where=unseen, postgresql_where=unseen)
    op.create_index(op.f("ix_notice_user_id_id"), "notice", ["user_id", "id"])
    op.create_index(op.f("ix_notice_at"), "notice", ["at"])


def _assignments() -> None:
    op.create_table(
        "assignment",
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("object_kind", sa.String(40), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(
            "object_kind IN ('personalisation_request', 'activation_request', 'destruction', 'manifest', 'reference_change', 'model_case',"
            " 'activation')",
            name=op.f("ck_assignment_object_kind"),
        ),
        sa.CheckConstraint("role IN ('approver', 'operator')", name=op.f("ck_assignment_role")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_assignment_user_id")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_assignment_act_id"), initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_assignment")),
    )
    op.create_index(op.f("ix_assignment_user_id"), "assignment", ["user_id"])
