"""The worker gives signs of life; the last trusted moment and the stops of an untrusted clock are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
READING = (("at", MOMENT), ("boot_id", sa.String(36)), ("elapsed", sa.Float()))
REASONS = "'stepped', 'database', 'signed', 'backwards', 'ahead'"


def _reading() -> list[sa.Column]:
    return [sa.Column(name, kind, nullable=False) for name, kind in READING]


def upgrade() -> None:
    op.create_table(
        "heartbeat",
        sa.Column("node", sa.String(100), nullable=False),
        sa.Column("process", sa.String(20), nullable=False),
        *_reading(),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("node", "process", name=op.f("pk_heartbeat")),
    )
    op.create_table(
        "trusted_time",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        *_reading(),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("known_until", MOMENT, nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_trusted_time_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trusted_time")),
    )
    op.create_table(
        "clock_stop",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(10), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("waits", sa.Boolean(), nullable=False),
        sa.Column("earliest", MOMENT, nullable=False),
        sa.Column("latest", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("act_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(f"reason IN ({REASONS})", name=op.f("ck_clock_stop_reason")),
        sa.CheckConstraint("ended_at IS NOT NULL OR act_id IS NULL", name=op.f("ck_clock_stop_ended")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clock_stop")),
    )
    # The newest signed record is asked for every ten seconds.
    op.create_index(op.f("ix_published_status_list_issued_at"), "published_status_list", ["issued_at"])
