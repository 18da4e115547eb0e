"""Cards and units are found by a part of their numbers, manifests by their end, and lists of a million rows by an index each.

PostgreSQL finds parts by trigrams. The owner of the database may create that extension (`pg_trgm` comes with PostgreSQL, and is trusted).
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None
PARTS = (
    ("card_uid", "ix_card_uid_part", "uid"),
    ("unit", "ix_unit_hardware_number_part", "hardware_number"),
    ("unit", "ix_unit_pcid_part", "pcid"),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.create_table(
        "card_uid",
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("uid", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_card_uid_card_id")),
        sa.PrimaryKeyConstraint("card_id", name=op.f("pk_card_uid")),
    )
    op.execute("INSERT INTO card_uid (card_id, uid) SELECT id, uid FROM card")
    op.create_table(
        "card_tally",
        *(sa.Column(name, sa.Uuid(), nullable=False) for name in ("holder_id", "buyer_id")),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("holder_id", "buyer_id", "state", name=op.f("pk_card_tally")),
    )
    op.create_index(op.f("ix_card_tally_buyer_id"), "card_tally", ["buyer_id"])
    op.create_table(
        "card_tally_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        *(sa.Column(name, sa.Uuid(), nullable=False) for name in ("holder_id", "buyer_id")),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_tally_change")),
    )
    op.execute(
        "INSERT INTO card_tally (holder_id, buyer_id, state, count)"
        " SELECT holder_id, buyer_id, state, COUNT(*) FROM card GROUP BY holder_id, buyer_id, state"
    )
    for table, name, column in PARTS:
        op.create_index(name, table, [column], postgresql_using="gin", postgresql_ops={column: "gin_trgm_ops"})
    op.create_index(op.f("ix_unit_organisation_id_id"), "unit", ["organisation_id", "id"])
    op.drop_index("ix_unit_organisation_id", "unit")
    op.create_index(op.f("ix_unit_model_id_id"), "unit", ["model_id", "id"])
    op.create_index(op.f("ix_card_holder_id_state"), "card", ["holder_id", "state"])
    op.create_index(op.f("ix_audit_entry_action_id"), "audit_entry", ["action", "id"])
    op.create_index(op.f("ix_token_activation_request_id"), "token", ["activation_request_id"])
    op.drop_index("ix_manifest_refuse_after_id", "manifest")
    op.create_index(op.f("ix_manifest_expires_at_id"), "manifest", ["expires_at", "id"])
    encoders, standing = sa.text("function = 'RW'"), sa.text("state IN ('active', 'suspended')")
    op.create_index("ix_card_encoders", "card", ["id"], sqlite_where=encoders, postgresql_where=encoders)
    columns = ["expires_at", "id"]
    op.create_index("ix_manifest_standing_ends", "manifest", columns, sqlite_where=standing, postgresql_where=standing)
