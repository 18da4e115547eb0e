"""Papers are stored as they are issued, and numbered by issuer. A BAST has a place, signatories, machines; agreements have their document.

Papers from before have none of this. The worker stores them, made with the templates of then.
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _papers()
    _numbers()
    _handovers()
    _agreements()


def _papers() -> None:
    op.create_table(
        "issued_paper",
        sa.Column("object_kind", sa.String(20), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("template", sa.String(40), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.CheckConstraint("object_kind IN ('handover', 'destruction')", name=op.f("ck_issued_paper_object_kind")),
        sa.ForeignKeyConstraint(["document_id"], ["document.id"], name=op.f("fk_issued_paper_document_id")),
        sa.PrimaryKeyConstraint("object_kind", "object_id", name=op.f("pk_issued_paper")),
        sa.UniqueConstraint("document_id", name=op.f("uq_issued_paper_document_id")),
    )


def _numbers() -> None:
    op.create_table(
        "issuer_code",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(20), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_issuer_code_organisation_id")),
        sa.PrimaryKeyConstraint("organisation_id", name=op.f("pk_issuer_code")),
        sa.UniqueConstraint("code", name=op.f("uq_issuer_code_code")),
    )
    with op.batch_alter_table("document_counter") as batch:
        batch.alter_column("series", existing_type=sa.String(20), type_=sa.String(40), existing_nullable=False)


def _handovers() -> None:
    op.add_column("handover", sa.Column("place", sa.Text(), nullable=True))
    op.add_column("handover_card", sa.Column("machine", sa.String(40), nullable=True))
    op.add_column("handover_card", sa.Column("pcid_seal", sa.String(16), nullable=True))
    op.create_table(
        "handover_signatory",
        sa.Column("handover_id", sa.Uuid(), nullable=False),
        sa.Column("side", sa.String(10), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("id_kind", sa.String(10), nullable=False),
        sa.Column("id_number", sa.String(40), nullable=False),
        sa.Column("position", sa.String(200), nullable=False),
        sa.CheckConstraint("side IN ('issuer', 'receiver')", name=op.f("ck_handover_signatory_side")),
        sa.ForeignKeyConstraint(["handover_id"], ["handover.id"], name=op.f("fk_handover_signatory_handover_id")),
        sa.PrimaryKeyConstraint("handover_id", "side", name=op.f("pk_handover_signatory")),
    )


def _agreements() -> None:
    for table in ("agreement", "reference_change"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("document_id", sa.Uuid(), nullable=True))
            batch.create_foreign_key(op.f(f"fk_{table}_document_id"), "document", ["document_id"], ["id"])
