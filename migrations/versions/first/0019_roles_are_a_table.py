"""Roles are rows: who held what, since when, until when. Those of accounts in place count from the newest entry about their roles."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from sifilma.kernel.ids import uuid7

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

ROLES = ("approver", "operator", "auditor", "user_admin", "custodian", "head", "staff")
MOMENT = sa.DateTime(timezone=True)
HELD = sa.text("until IS NULL")
ACCOUNT = sa.table("user_account", sa.column("id", sa.Uuid()), sa.column("roles", sa.String), sa.column("created_at", MOMENT))
ENTRY = sa.table(
    "audit_entry",
    sa.column("object_kind", sa.String),
    sa.column("object_id", sa.String),
    sa.column("action", sa.String),
    sa.column("at", MOMENT),
)


def upgrade() -> None:
    op.create_table(
        "user_role",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=True),
        sa.CheckConstraint("role IN ({})".format(", ".join(f"'{role}'" for role in ROLES)), name=op.f("ck_user_role_role")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_user_role_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_role")),
    )
    op.create_index("uq_user_role_held", "user_role", ["user_id", "role"], unique=True, sqlite_where=HELD, postgresql_where=HELD)
    bind = op.get_bind()
    newest = sa.select(ENTRY.c.object_id, sa.func.max(ENTRY.c.at)).where(
        ENTRY.c.object_kind == "user", ENTRY.c.action.in_(("user.invite", "user.roles"))
    )
    since: dict[str, Any] = {row[0]: row[1] for row in bind.execute(newest.group_by(ENTRY.c.object_id))}
    rows = [
        {"id": uuid7(), "user_id": account.id, "role": role, "since": since.get(str(account.id)) or account.created_at}
        for account in bind.execute(sa.select(ACCOUNT)).all()
        for role in account.roles.split()
    ]
    if rows:
        table = sa.table(
            "user_role", sa.column("id", sa.Uuid()), sa.column("user_id", sa.Uuid()), sa.column("role"), sa.column("since", MOMENT)
        )
        bind.execute(sa.insert(table), rows)
    with op.batch_alter_table("user_account") as batch:
        for name in ("auditor_alone", "admin_never_approver"):
            batch.drop_constraint(op.f(f"ck_user_account_{name}"), type_="check")
        batch.drop_column("roles")
