"""Organisations have outlets, at which their units stand. Units of before stand at none."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
POSITION = "latitude_e7 BETWEEN -900000000 AND 900000000 AND longitude_e7 BETWEEN -1800000000 AND 1800000000"


def upgrade() -> None:
    op.create_table(
        "outlet",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("branch_code", sa.String(40), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("region_code", sa.String(13), nullable=False),
        sa.Column("latitude_e7", sa.Integer(), nullable=False),
        sa.Column("longitude_e7", sa.Integer(), nullable=False),
        sa.Column("contact_name", sa.String(200), server_default="", nullable=False),
        sa.Column("contact_phone", sa.String(30), server_default="", nullable=False),
        sa.Column("contact_email", sa.String(200), server_default="", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("branch_code <> ''", name=op.f("ck_outlet_branch_code")),
        sa.CheckConstraint("length(region_code) = 13", name=op.f("ck_outlet_village")),
        sa.CheckConstraint(POSITION, name=op.f("ck_outlet_position")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_outlet_organisation_id")),
        sa.UniqueConstraint("organisation_id", "name", name=op.f("uq_outlet_organisation_id_name")),
        sa.UniqueConstraint("organisation_id", "branch_code", name=op.f("uq_outlet_organisation_id_branch_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outlet")),
    )
    op.create_index(op.f("ix_outlet_organisation_id_id"), "outlet", ["organisation_id", "id"])
    op.create_index(op.f("ix_outlet_name_id"), "outlet", ["name", "id"])
    with op.batch_alter_table("unit") as batch:
        batch.add_column(sa.Column("outlet_id", sa.Uuid(), nullable=True))
        batch.create_foreign_key(op.f("fk_unit_outlet_id"), "outlet", ["outlet_id"], ["id"])
        batch.create_index(op.f("ix_unit_outlet_id"), ["outlet_id"])
