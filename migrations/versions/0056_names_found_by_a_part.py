"""Organisations and people are found by a part of their name, and destructions by one of their number, by an index (PostgreSQL).

An outlet is found by its branch code, by an index of whole codes: PostgreSQL took that of parts, and read all of it. Cards that an
organisation has bought and others still hold are found by their state: there are few.
"""

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None
ELSEWHERE = sa.text("holder_id <> buyer_id")
PARTS = (("organisation", "name"), ("person", "name"), ("destruction", "number"))


def upgrade() -> None:
    op.create_index(op.f("ix_outlet_branch_code"), "outlet", ["branch_code"])
    columns = ["buyer_id", "state", "id"]
    op.create_index("ix_card_bought_elsewhere", "card", columns, sqlite_where=ELSEWHERE, postgresql_where=ELSEWHERE)
    for table, column in PARTS:
        op.create_index(f"ix_{table}_{column}_part", table, [column], postgresql_using="gin", postgresql_ops={column: "gin_trgm_ops"})
