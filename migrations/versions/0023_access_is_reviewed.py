"""Roles that are given until a day; the review of who may what."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0019"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _temporary_roles()


def _temporary_roles() -> None:
    with op.batch_alter_table("user_role") as batch:
        batch.add_column(sa.Column("ends_at", MOMENT, nullable=True))
        batch.create_check_constraint(
            op.f("ck_user_role_temporary"), "ends_at IS NULL OR (ends_at > since AND role IN ('approver', 'operator'))"
        )
    with op.batch_alter_table("user_change") as batch:
        batch.add_column(sa.Column("ends_at", MOMENT, nullable=True))
        batch.create_check_constraint(op.f("ck_user_change_ends"), "(change = 'deputy') = (ends_at IS NOT NULL)")
