"""Organisations and people are found by a part of their name, and destructions by one of their number, by an index (PostgreSQL)."""

from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None
PARTS = (("organisation", "name"), ("person", "name"), ("destruction", "number"))


def upgrade() -> None:
    for table, column in PARTS:
        op.create_index(f"ix_{table}_{column}_part", table, [column], postgresql_using="gin", postgresql_ops={column: "gin_trgm_ops"})
