"""The manifests of an organisation that end first, and the units at an outlet by their state, are read from an index alone (PostgreSQL)."""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_manifest_standing_ends_of", "manifest")
    standing, columns = sa.text("state IN ('active', 'suspended')"), ["organisation_id", "expires_at", "id"]
    include = ["state", "card_id"]
    op.create_index(
        "ix_manifest_standing_ends_of",
        "manifest",
        columns,
        sqlite_where=standing,
        postgresql_where=standing,
        postgresql_include=include,
    )
    op.drop_index(op.f("ix_unit_outlet_id"), "unit")
    op.create_index(op.f("ix_unit_outlet_id"), "unit", ["outlet_id"], postgresql_include=["state"])
