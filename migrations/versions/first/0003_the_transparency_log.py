"""The transparency log: leaves, tree, checkpoints; every entry there is waits to be taken into it, with a salt of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _salt()
    op.create_table(
        "audit_pending",
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_audit_pending")),
    )
    op.execute("INSERT INTO audit_pending (entry_id) SELECT id FROM audit_entry")
    op.create_table(
        "log_leaf",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_log_leaf")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_log_leaf_entry_id")),
    )
    op.create_table(
        "log_node",
        sa.Column("height", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("idx", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("height", "idx", name=op.f("pk_log_node")),
    )
    op.create_table(
        "log_checkpoint",
        sa.Column("size", BIG, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("origin", sa.String(length=200), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_log_checkpoint")),
    )
    op.create_index(op.f("ix_log_checkpoint_at"), "log_checkpoint", ["at"], unique=False)


def _salt() -> None:
    """16 random bytes for each entry there is: by PostgreSQL in the one rewrite of the table, by SQLite before its batch copy."""
    if op.get_context().dialect.name == "postgresql":
        op.add_column(
            "audit_entry", sa.Column("salt", sa.LargeBinary(), server_default=sa.text("uuid_send(gen_random_uuid())"), nullable=False)
        )
        op.alter_column("audit_entry", "salt", server_default=None)
    else:
        op.add_column("audit_entry", sa.Column("salt", sa.LargeBinary(), nullable=True))
        op.execute("UPDATE audit_entry SET salt = randomblob(16)")
        with op.batch_alter_table("audit_entry") as batch:
            batch.alter_column("salt", existing_type=sa.LargeBinary(), nullable=False)
