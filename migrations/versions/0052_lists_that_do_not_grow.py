"""What a large organisation's pages read is found by index: cards for others and out of use, open tokens by request, readers by regency and by cell.

Indexes by state alone give way to those that have the order of a list besides.
"""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None
ELSEWHERE = "holder_id <> buyer_id"
PARTIAL = (
    ("ix_card_for_another", "card", ["holder_id", "state", "personalisation_request_id", "changed_at"], ELSEWHERE),
    ("ix_card_used_by_another", "card", ["buyer_id"], f"{ELSEWHERE} AND state IN ('active', 'suspended')"),
    ("ix_card_broken", "card", ["holder_id", "state", "changed_at", "id"], "state IN ('damaged', 'locked', 'revoked')"),
    (
        "ix_card_out_of_use", "card", ["buyer_id", "state", "changed_at", "id"],
        "state IN ('damaged', 'locked', 'revoked', 'lost', 'destroyed')",
    ),
    ("ix_token_open_of", "token", ["organisation_id", "expires_at", "activation_request_id"], "state = 'issued'"),
)  # fmt: skip


def upgrade() -> None:
    for name, table, columns, where in PARTIAL:
        op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    for table in ("card", "manifest"):
        op.create_index(op.f(f"ix_{table}_state_id"), table, ["state", "id"])
        op.drop_index(op.f(f"ix_{table}_state"), table)
    op.drop_index(op.f("ix_token_state"), "token")
    op.drop_index(op.f("ix_activation_longitude_e7_latitude_e7"), "activation")
    if op.get_bind().dialect.name == "postgresql":
        cell = ("((latitude_e7 + 200000000) / 27465)", "(longitude_e7 / 27465)")
        op.create_index("ix_activation_cell", "activation", [sa.text(part) for part in cell])
        regency = sa.text("substr(region_code, 1, 5)")
        op.create_index("ix_activation_regency_of", "activation", ["organisation_id", regency, "card_id"])
