"""Files and the published trust state are stored in the database. A folder of before is brought in by `sifilma db files`.

The rows that name files stay as they are: a digest names the bytes, wherever they lie.
"""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stored_file",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_stored_file_sha256")),
        sa.CheckConstraint("size >= 0 AND parts >= 0", name=op.f("ck_stored_file_counts")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_stored_file")),
    )
    op.create_table(
        "stored_part",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("place >= 0", name=op.f("ck_stored_part_place")),
        sa.ForeignKeyConstraint(["sha256"], ["stored_file.sha256"], name=op.f("fk_stored_part_sha256")),
        sa.PrimaryKeyConstraint("sha256", "place", name=op.f("pk_stored_part")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # PDFs and photos are packed already: to try it again costs more than writing them.
        op.execute("ALTER TABLE stored_part ALTER COLUMN data SET STORAGE EXTERNAL")
    op.create_table(
        "published_trust",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", "seq", name=op.f("pk_published_trust")),
    )
