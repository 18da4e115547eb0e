"""The cards of a holder in a state are found in the order of their age, the manifests of an organisation in that of their ends."""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_card_holder_id_state_id"), "card", ["holder_id", "state", "id"])
    op.drop_index(op.f("ix_card_holder_id_state"), "card")
    standing, columns = sa.text("state IN ('active', 'suspended')"), ["organisation_id", "expires_at", "id"]
    op.create_index("ix_manifest_standing_ends_of", "manifest", columns, sqlite_where=standing, postgresql_where=standing)
