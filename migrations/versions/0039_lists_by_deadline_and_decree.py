"""The lists of suspensions and of successions are sorted by deadline and by the date of the decree."""

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, column in (("place_suspension", "due_at"), ("head_succession", "decree_date")):
        op.create_index(op.f(f"ix_{table}_{column}_id"), table, [column, "id"])
