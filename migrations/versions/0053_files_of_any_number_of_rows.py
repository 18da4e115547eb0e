"""Files of any number of rows are taken in by the worker: kinds of jobs for them, and no upper limit of cards in one request.

The rows of a batch name a PCID and a UID once in their request. The index of the request alone is one of four that begin with it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None

ODD = sa.text("sam_perso <> '' AND length(trim(sam_perso)) <> 16")


def upgrade() -> None:
    with op.batch_alter_table("job") as batch:
        batch.drop_constraint(op.f("ck_job_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_job_kind"), "kind IN ('activation', 'batch', 'intake', 'results')")
    op.create_index(op.f("ix_job_subject_id_id"), "job", ["subject_id", "id"])
    op.create_table(
        "job_part",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("start >= 0 AND count >= 1", name=op.f("ck_job_part_counts")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_part_job_id")),
        sa.PrimaryKeyConstraint("job_id", "start", name=op.f("pk_job_part")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE job_part ALTER COLUMN data SET STORAGE EXTERNAL")  # packed already
    for table, check, at_least in (
        ("personalisation_request", "quantity", "quantity >= 1"),
        ("activation_request", "machines", "machines >= 1"),
    ):
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(f"ck_{table}_{check}"), type_="check")
            batch.create_check_constraint(op.f(f"ck_{table}_{check}"), at_least)
    with op.batch_alter_table("batch_row") as batch:
        batch.drop_index(op.f("ix_batch_row_personalisation_request_id"))
        for column in ("pcid", "sam_uid"):
            name = op.f(f"uq_batch_row_personalisation_request_id_{column}")
            batch.create_unique_constraint(name, ["personalisation_request_id", column])
    op.create_index("ix_batch_row_odd", "batch_row", ["personalisation_request_id", "row_no"], sqlite_where=ODD, postgresql_where=ODD)
