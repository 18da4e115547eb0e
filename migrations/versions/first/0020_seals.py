"""Seals of the rows from which authority follows, and the version of an account's authority.

The columns begin empty, and an empty seal never counts: `sifilma db upgrade` seals what stands in the same transaction
(`sifilma/sign_in/resealing.py`), since a migration knows no secret.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

REFUSED = sa.text("action = 'seal.refused'")
SEALED = ("user_account", "invitation", "login_session", "api_key", "recovery_code", "passkey", "passkey_challenge")


def upgrade() -> None:
    for table in SEALED:
        op.add_column(table, sa.Column("seal", sa.LargeBinary(), nullable=True))
    for table in ("user_account", "login_session"):
        op.add_column(table, sa.Column("authority_version", sa.Integer(), server_default="0", nullable=False))
    op.create_index("ix_audit_entry_refused_seals", "audit_entry", ["id"], sqlite_where=REFUSED, postgresql_where=REFUSED)
