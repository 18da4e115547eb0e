"""Jobs end: rows are kept one by one, turns without progress are counted, organisations take turns, and a job can be cancelled.

Files that an earlier version took in stay sealed as they are: only the HSM opens them. The worker turns them into lines.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("job") as batch:
        batch.add_column(sa.Column("waiting_since", MOMENT, nullable=True))
        batch.add_column(sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("working_on", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("served", sa.BigInteger(), nullable=False, server_default="0"))
        for name in ("state", "wiped"):
            batch.drop_constraint(op.f(f"ck_job_{name}"), type_="check")
        batch.create_check_constraint(op.f("ck_job_state"), "state IN ('queued', 'running', 'completed', 'stopped', 'cancelled')")
        batch.create_check_constraint(op.f("ck_job_wiped"), "state NOT IN ('completed', 'stopped', 'cancelled') OR length(sealed) = 0")
        batch.create_check_constraint(op.f("ck_job_tries"), "tries >= 0")
    with op.batch_alter_table("job") as batch:
        for name in ("tries", "served"):
            batch.alter_column(name, server_default=None)
    op.create_index(op.f("ix_job_organisation_id_served"), "job", ["organisation_id", "served"])
    op.create_index(op.f("ix_job_served"), "job", ["served"])
    op.create_table(
        "job_line",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("cells", sa.LargeBinary(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_line_job_id")),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_job_line")),
    )
