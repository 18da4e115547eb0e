"""Lists are had in other orders than their age: requests by the date of their letter, manifests by how long they are good."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, column in (("personalisation_request", "letter_date"), ("activation_request", "letter_date"), ("manifest", "refuse_after")):
        op.create_index(op.f(f"ix_{table}_{column}_id"), table, [column, "id"])
