"""Roles that are given until a day; the review of who may what."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
OPEN = sa.text("closed_at IS NULL")
ACCOUNT = sa.table(
    "user_account",
    sa.column("id", sa.Uuid()),
    sa.column("state", sa.String),
    sa.column("created_at", MOMENT),
    sa.column("disabled_at", MOMENT),
)
ENTRY = sa.table(
    "audit_entry",
    sa.column("object_kind", sa.String),
    sa.column("object_id", sa.String),
    sa.column("action", sa.String),
    sa.column("at", MOMENT),
)


def upgrade() -> None:
    _temporary_roles()
    _reviews()
    _unused_accounts()
    _leavers()


def _temporary_roles() -> None:
    with op.batch_alter_table("user_role") as batch:
        batch.add_column(sa.Column("ends_at", MOMENT, nullable=True))
        batch.create_check_constraint(
            op.f("ck_user_role_temporary"), "ends_at IS NULL OR (ends_at > since AND role IN ('approver', 'operator'))"
        )
    with op.batch_alter_table("user_change") as batch:
        batch.add_column(sa.Column("ends_at", MOMENT, nullable=True))
        batch.create_check_constraint(op.f("ck_user_change_ends"), "(change = 'deputy') = (ends_at IS NOT NULL)")


def _reviews() -> None:
    op.create_table(
        "access_review",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, MOMENT, nullable=False) for name in ("opened_at", "due_at", "ends_at")),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.CheckConstraint("opened_at < due_at AND due_at <= ends_at", name=op.f("ck_access_review_times")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_access_review_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_review")),
    )
    op.create_index("uq_access_review_open", "access_review", ["organisation_id"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index(op.f("ix_access_review_organisation_id_opened_at"), "access_review", ["organisation_id", "opened_at"])
    op.create_table(
        "access_review_line",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("review_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("roles", sa.String(100), nullable=False),
        sa.Column("outcome", sa.String(10), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("decided_by_person", sa.Uuid(), nullable=True),
        sa.Column("act_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("outcome IN ('confirmed', 'ended', 'lapsed')", name=op.f("ck_access_review_line_outcome")),
        sa.CheckConstraint(
            "(outcome IS NULL) = (act_id IS NULL) AND (outcome IS NULL) = (decided_at IS NULL)", name=op.f("ck_access_review_line_decided")
        ),
        sa.CheckConstraint(
            "(outcome IN ('confirmed', 'ended')) = (decided_by_person IS NOT NULL)", name=op.f("ck_access_review_line_person")
        ),
        sa.ForeignKeyConstraint(["review_id"], ["access_review.id"], name=op.f("fk_access_review_line_review_id")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_access_review_line_user_id")),
        sa.ForeignKeyConstraint(["decided_by_person"], ["person.id"], name=op.f("fk_access_review_line_decided_by_person")),
        sa.ForeignKeyConstraint(
            ["act_id"], ["audit_entry.id"], name=op.f("fk_access_review_line_act_id"), deferrable=True, initially="DEFERRED"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_review_line")),
        sa.UniqueConstraint("review_id", "user_id", name=op.f("uq_access_review_line_review_id_user_id")),
    )
    op.create_index(op.f("ix_access_review_line_user_id"), "access_review_line", ["user_id"])


def _unused_accounts() -> None:
    op.create_table(
        "dormant_mark",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("marked_at", MOMENT, nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_dormant_mark_user_id")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_dormant_mark_act_id"), deferrable=True, initially="DEFERRED"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_dormant_mark")),
    )
    op.create_index(op.f("ix_dormant_mark_marked_at"), "dormant_mark", ["marked_at"])
    op.add_column("user_account", sa.Column("active_since", MOMENT, nullable=True))


def _leavers() -> None:
    op.add_column("user_account", sa.Column("disabled_at", MOMENT, nullable=True))
    op.add_column("person", sa.Column("pseudonym_act_id", sa.Uuid(), nullable=True))
    bind = op.get_bind()
    newest = sa.select(ENTRY.c.object_id, sa.func.max(ENTRY.c.at)).where(ENTRY.c.object_kind == "user", ENTRY.c.action == "user.disable")
    disabled: dict[str, Any] = {row[0]: row[1] for row in bind.execute(newest.group_by(ENTRY.c.object_id))}
    for account in bind.execute(sa.select(ACCOUNT).where(ACCOUNT.c.state == "disabled")).all():
        since = disabled.get(str(account.id)) or account.created_at
        bind.execute(sa.update(ACCOUNT).where(ACCOUNT.c.id == account.id).values(disabled_at=since))
