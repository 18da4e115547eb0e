"""Work by file: jobs, and what became of their rows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql")


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("filename", sa.String(120), nullable=False),
        sa.Column("columns", JSON, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=True),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("taken_by", sa.String(36), nullable=False),
        sa.Column("taken_until", MOMENT, nullable=True),
        sa.Column("waits_for", sa.String(10), nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("state IN ('queued', 'running', 'completed', 'stopped')", name=op.f("ck_job_state")),
        sa.CheckConstraint("kind IN ('activation', 'batch')", name=op.f("ck_job_kind")),
        sa.CheckConstraint("(user_id IS NULL) <> (api_key_id IS NULL)", name=op.f("ck_job_by_one")),
        sa.CheckConstraint("0 <= failed AND failed <= done AND done <= total", name=op.f("ck_job_counts")),
        sa.CheckConstraint("state NOT IN ('completed', 'stopped') OR length(sealed) = 0", name=op.f("ck_job_wiped")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_job_organisation_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_job_user_id")),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_key.id"], name=op.f("fk_job_api_key_id")),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_job_document_id")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_job_act_id"), initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    op.create_index(op.f("ix_job_state"), "job", ["state"])
    op.create_index(op.f("ix_job_organisation_id_id"), "job", ["organisation_id", "id"])
    op.create_index(op.f("ix_job_state_due_at"), "job", ["state", "due_at"])
    op.create_table(
        "job_row",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("is_failed", sa.Boolean(), nullable=False),
        sa.Column("result_id", sa.Uuid(), nullable=True),
        sa.Column("errors", JSON, nullable=False),
        sa.Column("cells", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("is_failed = (result_id IS NULL)", name=op.f("ck_job_row_result")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_row_job_id")),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_job_row")),
        sa.UniqueConstraint("result_id", name=op.f("uq_job_row_result_id")),
    )
