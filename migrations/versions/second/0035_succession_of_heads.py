"""Heads follow each other by decree; a head may be one until a day. The facts of a succession and the work that passed stay."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

KINDS = "('personalisation_request', 'activation_request', 'handover', 'destruction')"


def upgrade() -> None:
    with op.batch_alter_table("user_role") as batch:
        batch.drop_constraint(op.f("ck_user_role_temporary"), type_="check")
        batch.create_check_constraint(
            op.f("ck_user_role_temporary"), "ends_at IS NULL OR (ends_at > since AND role IN ('approver', 'operator', 'head'))"
        )
    with op.batch_alter_table("user_change") as batch:
        batch.drop_constraint(op.f("ck_user_change_ends"), type_="check")
        batch.create_check_constraint(op.f("ck_user_change_ends"), "change = 'succession' OR (change = 'deputy') = (ends_at IS NOT NULL)")
    op.create_table(
        "head_succession",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("outgoing_id", sa.Uuid(), nullable=True),
        sa.Column("successor_id", sa.Uuid(), nullable=False),
        sa.Column("former", sa.String(10), nullable=False),
        sa.Column("is_invited", sa.Boolean(), nullable=False),
        sa.Column("decree_number", sa.String(100), nullable=False),
        sa.Column("decree_date", sa.Date(), nullable=False),
        sa.Column("decree_document_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("former IN ('disabled', 'staff', 'head')", name=op.f("ck_head_succession_former")),
        sa.CheckConstraint("outgoing_id IS NULL OR outgoing_id <> successor_id", name=op.f("ck_head_succession_two_accounts")),
        sa.CheckConstraint("former <> 'head' OR outgoing_id IS NOT NULL", name=op.f("ck_head_succession_stays")),
        sa.ForeignKeyConstraint(["id"], ["user_change.id"], name=op.f("fk_head_succession_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_head_succession_organisation_id")),
        sa.ForeignKeyConstraint(["outgoing_id"], ["user_account.id"], name=op.f("fk_head_succession_outgoing_id")),
        sa.ForeignKeyConstraint(["successor_id"], ["user_account.id"], name=op.f("fk_head_succession_successor_id")),
        sa.ForeignKeyConstraint(["decree_document_id"], ["document.id"], name=op.f("fk_head_succession_decree_document_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_head_succession")),
    )
    op.create_index(op.f("ix_head_succession_organisation_id_id"), "head_succession", ["organisation_id", "id"])
    op.create_table(
        "passed_work",
        sa.Column("succession_id", sa.Uuid(), nullable=False),
        sa.Column("object_kind", sa.String(40), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint(f"object_kind IN {KINDS}", name=op.f("ck_passed_work_object_kind")),
        sa.ForeignKeyConstraint(["succession_id"], ["head_succession.id"], name=op.f("fk_passed_work_succession_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_passed_work_user_id")),
        sa.PrimaryKeyConstraint("succession_id", "object_kind", "object_id", "user_id", name=op.f("pk_passed_work")),
    )
    op.create_index(op.f("ix_passed_work_object_kind_object_id"), "passed_work", ["object_kind", "object_id"])
