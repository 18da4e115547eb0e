"""Letters and organisations are found by their number or name, and sorted by it; reviewed places are sorted by their distance."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, column in (("personalisation_request", "letter_key"), ("activation_request", "letter_key"), ("organisation", "name")):
        op.create_index(op.f(f"ix_{table}_{column}_id"), table, [column, "id"])
    reviewed = sa.text("review_state <> 'none'")
    columns = ["review_state", "place_distance_m", "id"]
    op.create_index("ix_activation_review_distance", "activation", columns, sqlite_where=reviewed, postgresql_where=reviewed)
