"""An idempotency key names the request that claimed it: a request completes and releases its own claim only."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keys of before have no claim. Those in flight are taken over when their time is over."""
    op.add_column("idempotency_key", sa.Column("claim", sa.Uuid(), nullable=True))
