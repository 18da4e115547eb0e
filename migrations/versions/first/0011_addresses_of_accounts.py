"""E-mail and phone belong to an account: to the oldest of a person, whose inviter wrote them; a column nobody read goes."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WRITTEN = (
    "UPDATE user_account SET email = (SELECT p.email FROM person p WHERE p.id = user_account.person_id),"
    " phone = (SELECT p.phone FROM person p WHERE p.id = user_account.person_id)"
    " WHERE NOT EXISTS (SELECT 1 FROM user_account o WHERE o.person_id = user_account.person_id AND o.id < user_account.id)"
)


def upgrade() -> None:
    op.add_column("user_account", sa.Column("email", sa.String(200), nullable=False, server_default=""))
    op.add_column("user_account", sa.Column("phone", sa.String(30), nullable=False, server_default=""))
    op.execute(WRITTEN)
    op.drop_column("person", "email")
    op.drop_column("person", "phone")
    op.drop_column("user_change", "is_first")
