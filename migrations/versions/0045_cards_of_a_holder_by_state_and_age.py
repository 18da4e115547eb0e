"""The cards of a holder in a state are found in the order of their age."""

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_card_holder_id_state_id"), "card", ["holder_id", "state", "id"])
    op.drop_index(op.f("ix_card_holder_id_state"), "card")
