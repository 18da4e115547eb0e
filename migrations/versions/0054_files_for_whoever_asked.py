"""Files that the worker writes for whoever asked: long lists, many manifests, papers to be printed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
LATE = {"initially": "DEFERRED", "deferrable": True}
CHECKS = {
    "state": "state IN ('queued', 'running', 'ready', 'stopped', 'cancelled', 'expired')",
    "kind": "kind IN ('list', 'manifests', 'print')",
    "by_one": "(user_id IS NULL) <> (api_key_id IS NULL)",
    "counts": "0 <= written AND written <= done AND (total IS NULL OR done <= total)",
    "whole": "(state <> 'ready') OR (total = done AND length(sha256) = 64 AND ends_at IS NOT NULL)",
}
REFERENCES = {"organisation_id": "organisation", "user_id": "user_account", "api_key_id": "api_key", "act_id": "audit_entry"}


def upgrade() -> None:
    _files()
    _contents()


def _files() -> None:
    table = "own_file"
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("form", sa.String(4), nullable=False),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("written", sa.Integer(), nullable=False),
        sa.Column("cut", sa.Boolean(), nullable=False),
        sa.Column("served", sa.Integer(), nullable=False),
        sa.Column("rate", sa.Double(), nullable=True),
        sa.Column("measured_at", MOMENT, nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("ends_at", MOMENT, nullable=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        *(sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}")) for name, condition in CHECKS.items()),
        *(
            sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}"), **(LATE if to == "audit_entry" else {}))
            for column, to in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    for columns in (["asked_by", "id"], ["organisation_id"], ["state"], ["ends_at"]):
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)
    going = sa.text("state IN ('queued', 'running')")
    op.create_index(f"uq_{table}_open", table, ["asked_by", "digest"], unique=True, sqlite_where=going, postgresql_where=going)


def _contents() -> None:
    for table, key, content in (
        ("own_file_rows", (), "ids"),
        ("own_file_part", (sa.Column("role", sa.String(5), nullable=False),), "data"),
    ):
        op.create_table(
            table,
            sa.Column("file_id", sa.Uuid(), nullable=False),
            *key,
            sa.Column("place", sa.Integer(), nullable=False),
            sa.Column(content, sa.LargeBinary(), nullable=False),
            sa.ForeignKeyConstraint(["file_id"], ["own_file.id"], name=op.f(f"fk_{table}_file_id")),
            sa.PrimaryKeyConstraint("file_id", *(column.name for column in key), "place", name=op.f(f"pk_{table}")),
        )
        if op.get_bind().dialect.name == "postgresql":
            # Ids, packed rows and ZIPs do not shrink: to try it costs more than writing them.
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {content} SET STORAGE EXTERNAL")
