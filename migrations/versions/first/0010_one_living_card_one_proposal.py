"""A unit has one living card, and what waits for a second person one proposal."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

LIVING = "state IN ('registered', 'personalised', 'handed_over', 'received', 'active', 'suspended', 'lost')"
PROPOSED = "state = 'proposed'"
BEFORE = """(o.state IN ('active', 'suspended') AND card.state NOT IN ('active', 'suspended'))
    OR ((o.state IN ('active', 'suspended')) = (card.state IN ('active', 'suspended'))
        AND (o.seq > card.seq OR (o.seq = card.seq AND o.id < card.id)))"""


def upgrade() -> None:
    # Of two living cards of one unit the one that works there keeps it, else the one that worked there last, else the first.
    op.execute(
        f"UPDATE card SET unit_id = NULL WHERE {LIVING} AND EXISTS (SELECT 1 FROM card o"  # noqa: S608  # constants of this file
        f" WHERE o.unit_id = card.unit_id AND o.id <> card.id AND o.{LIVING} AND ({BEFORE}))"
    )
    for table, key in (("revocation", "manifest_id"), ("user_change", "user_id")):  # of two proposals the first waits on
        op.execute(
            f"UPDATE {table} SET state = 'rejected' WHERE {PROPOSED} AND EXISTS (SELECT 1 FROM {table} o"  # noqa: S608  # as above
            f" WHERE o.{key} = {table}.{key} AND o.{PROPOSED} AND o.id < {table}.id)"
        )
    op.drop_index("uq_card_active_unit", "card")
    for name, table, key, where in (
        ("uq_card_living_unit", "card", "unit_id", LIVING),
        ("uq_revocation_proposed", "revocation", "manifest_id", PROPOSED),
        ("uq_user_change_proposed", "user_change", "user_id", PROPOSED),
    ):
        op.create_index(name, table, [key], unique=True, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
