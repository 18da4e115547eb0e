"""The encoders' cards of an organisation are found by index: few are, and not every organisation has some."""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None

ENCODERS = sa.text("function = 'RW'")


def upgrade() -> None:
    for name, column in (("ix_card_encoders_held", "holder_id"), ("ix_card_encoders_bought", "buyer_id")):
        op.create_index(name, "card", [column, "id"], sqlite_where=ENCODERS, postgresql_where=ENCODERS)
