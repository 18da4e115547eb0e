"""One human is one person: invitations claim who the invited is, known people consent, reports of lost factors say who has no say.

- A person with accounts of which none was taken up becomes the stand-in of the first. Rows that are sealed do not change: an account that was
  not taken up, of a person who took up another, stays as it is, and `bind_person` refuses it (`sifilma/accounts/consents.py`).
- Of the accounts that were taken up, a person's first needs no consent. The others are recorded as accepted, by nobody.
- A report of a lost factor that waits gets its two moments by the default settings.
- Seeds that open invitations have shown belong to no browser: they are worth nothing any more.
"""

import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from sifilma.kernel.ids import uuid7

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql")
OPEN = sa.text("state <> 'expired'")
NEWCOMER = timedelta(days=7)


def _table(table: str, **columns: sa.types.TypeEngine[Any]) -> sa.TableClause:
    return sa.table(table, *(sa.column(name, kind) for name, kind in columns.items()))


STEP = {"revision": sa.Integer(), "changed_at": MOMENT, "changed_by": sa.Uuid(), "change_note": sa.Text(), "act_id": sa.Uuid()}
PERSON = _table(
    "person", id=sa.Uuid(), identity=sa.String(), id_kind=sa.String(), id_number=sa.String(), name=sa.String(), claims=sa.String()
)
ACCOUNT = _table(
    "user_account", id=sa.Uuid(), person_id=sa.Uuid(), password_hash=sa.String(), totp_sealed=sa.LargeBinary(), created_at=MOMENT
)
CHANGE = _table(
    "user_change", user_id=sa.Uuid(), change=sa.String(), state=sa.String(), proposed_at=MOMENT, known_before=MOMENT, heads_from=MOMENT
)
CONSENT = _table(
    "account_consent", id=sa.Uuid(), user_id=sa.Uuid(), person_id=sa.Uuid(), asked_at=MOMENT, expires_at=MOMENT, state=sa.String(), **STEP
)
ENTRY = _table(
    "audit_entry", id=sa.Uuid(), at=MOMENT, action=sa.String(), object_kind=sa.String(), object_id=sa.String(), request_id=sa.String(),
    ip=sa.String(), data=JSON, salt=sa.LargeBinary(),
)  # fmt: skip
PENDING = _table("audit_pending", entry_id=sa.Uuid())
HISTORY = _table(
    "history", object_kind=sa.String(), object_id=sa.Uuid(), from_state=sa.String(), to_state=sa.String(), at=MOMENT, note=sa.Text(),
    act_id=sa.Uuid(),
)  # fmt: skip


def upgrade() -> None:
    _schema()
    bind = op.get_bind()
    waiting = (CHANGE.c.change == "factor", CHANGE.c.state == "proposed")
    for at in set(bind.execute(sa.select(CHANGE.c.proposed_at).where(*waiting)).scalars()):
        moments = {"known_before": at - NEWCOMER, "heads_from": at}
        bind.execute(sa.update(CHANGE).where(*waiting, CHANGE.c.proposed_at == at).values(**moments))
    _people()
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _schema() -> None:
    op.add_column("person", sa.Column("claims", sa.String(120), nullable=True))
    op.create_index(op.f("ix_person_claims"), "person", ["claims"])
    op.add_column("invitation", sa.Column("browser_hash", sa.String(64), nullable=True))
    op.add_column("invitation", sa.Column("views", sa.Integer(), server_default="0", nullable=False))
    op.add_column("invitation", sa.Column("consent_id", sa.Uuid(), nullable=True))
    op.create_index(op.f("ix_invitation_consent_id"), "invitation", ["consent_id"])
    for name in ("known_before", "heads_from"):
        op.add_column("user_change", sa.Column(name, MOMENT, nullable=True))
    entry = {"initially": "DEFERRED", "deferrable": True}
    op.create_table(
        "account_consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("changed_by", sa.Uuid(), nullable=True),
        sa.Column("change_note", sa.Text(), nullable=False),
        sa.Column("act_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("state IN ('asked', 'accepted', 'refused', 'expired')", name=op.f("ck_account_consent_state")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_account_consent_user_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_account_consent_person_id")),
        sa.ForeignKeyConstraint(["decided_by"], ["user_account.id"], name=op.f("fk_account_consent_decided_by")),
        sa.ForeignKeyConstraint(["act_id"], ["audit_entry.id"], name=op.f("fk_account_consent_act_id"), **entry),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_consent")),
    )
    op.create_index("uq_account_consent_open", "account_consent", ["user_id"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index(op.f("ix_account_consent_person_id"), "account_consent", ["person_id"])
    op.create_index(op.f("ix_account_consent_state"), "account_consent", ["state"])


def _people() -> None:
    bind = op.get_bind()
    enrolled = set(bind.execute(sa.select(ENTRY.c.object_id).where(ENTRY.c.action == "user.enrol")).scalars())
    given_up = sa.select(CHANGE.c.user_id).where(CHANGE.c.change == "factor", CHANGE.c.state == "executed")
    enrolled |= {str(user_id) for user_id in bind.execute(given_up).scalars()}
    accounts: dict[UUID, list[Any]] = {}
    columns = (ACCOUNT.c.id, ACCOUNT.c.person_id, ACCOUNT.c.password_hash, ACCOUNT.c.created_at)
    for row in bind.execute(sa.select(*columns).order_by(ACCOUNT.c.created_at, ACCOUNT.c.id)).all():
        accounts.setdefault(row.person_id, []).append(row)
    for person in bind.execute(sa.select(PERSON)).all():
        theirs = accounts.get(person.id, [])
        taken_up = [row for row in theirs if row.password_hash or str(row.id) in enrolled]
        for row in taken_up[1:]:
            _accepted(row, person)
        if theirs and not taken_up:
            stands_in = {"identity": f"claim:{theirs[0].id}", "claims": person.identity}
            bind.execute(sa.update(PERSON).where(PERSON.c.id == person.id).values(**stands_in))


def _accepted(account: Any, person: Any) -> None:
    """Record, by nobody, that a further account was in place before people were asked."""
    bind, consent_id = op.get_bind(), uuid7()
    at = bind.scalar(sa.select(sa.func.max(ENTRY.c.at))) or account.created_at  # when anybody acted last: a migration has no clock
    before, act_id = "", consent_id
    for state, action in (("asked", "user.consent_ask"), ("accepted", "user.consent_accept")):
        act_id = uuid7()
        entry = {"id": act_id, "at": at, "action": action, "object_kind": "account_consent", "object_id": str(consent_id)}
        more = {"request_id": "migration-0021", "ip": "", "data": {"migration": revision}, "salt": secrets.token_bytes(16)}
        bind.execute(sa.insert(ENTRY).values(**entry, **more))
        bind.execute(sa.insert(PENDING).values(entry_id=act_id))
        step = {"object_kind": "account_consent", "object_id": consent_id, "from_state": before, "to_state": state}
        bind.execute(sa.insert(HISTORY).values(**step, at=at, note="", act_id=act_id))
        before = state
    who = {"id": consent_id, "user_id": account.id, "person_id": person.id, "asked_at": at, "expires_at": at, "state": before}
    last = {"revision": 2, "changed_at": at, "changed_by": None, "change_note": "", "act_id": act_id}
    bind.execute(sa.insert(CONSENT).values(**who, **last))
