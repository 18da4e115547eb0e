"""Photos of what is reported about cards; activations are found by their moment and their region, entries of the record by who acted."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STANDING = sa.text("state IN ('active', 'suspended')")


def upgrade() -> None:
    op.create_table(
        "card_photo",
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("card_id", sa.Uuid(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_card_photo_document_id")),
        sa.ForeignKeyConstraint(["card_id"], ["card.id"], name=op.f("fk_card_photo_card_id")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_card_photo_act_id"), initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("document_id", name=op.f("pk_card_photo")),
    )
    op.create_index(op.f("ix_card_photo_card_id_act_id"), "card_photo", ["card_id", "act_id"])
    op.create_index(op.f("ix_activation_at"), "activation", ["at"])
    op.create_index(op.f("ix_activation_region_code"), "activation", ["region_code"], postgresql_ops={"region_code": "varchar_pattern_ops"})
    op.create_index(op.f("ix_audit_entry_user_id"), "audit_entry", ["user_id"])
    op.drop_index("uq_manifest_standing", "manifest")
    op.create_index(
        "uq_manifest_standing",
        "manifest",
        ["card_id"],
        unique=True,
        sqlite_where=STANDING,
        postgresql_where=STANDING,
        postgresql_include=["activation_id"],
    )
