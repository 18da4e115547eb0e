"""Forms that were not finished are kept with their files, and forms that were sent are known again. Sessions are found by their token."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _forms()
    _files()
    _sent()
    op.create_index(op.f("ix_login_session_csrf"), "login_session", ["csrf"])


def _forms() -> None:
    op.create_table(
        "kept_form",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("path", sa.String(300), nullable=False),
        sa.Column("query", sa.String(1000), nullable=False),
        sa.Column("action", sa.String(300), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_kept_form_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kept_form")),
    )
    op.create_index(op.f("ix_kept_form_user_id"), "kept_form", ["user_id"])
    op.create_index(op.f("ix_kept_form_saved_at"), "kept_form", ["saved_at"])


def _files() -> None:
    op.create_table(
        "kept_file",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("filename", sa.String(200), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_kept_file_sha256")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_kept_file_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kept_file")),
    )
    op.create_index(op.f("ix_kept_file_user_id"), "kept_file", ["user_id"])
    op.create_index(op.f("ix_kept_file_kept_at"), "kept_file", ["kept_at"])


def _sent() -> None:
    op.create_table(
        "sent_form",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_sent_form_user_id")),
        sa.PrimaryKeyConstraint("id", "mac", name=op.f("pk_sent_form")),
    )
    op.create_index(op.f("ix_sent_form_sent_at"), "sent_form", ["sent_at"])
