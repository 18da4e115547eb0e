"""Revocations and changes of accounts have a life cycle: revision, act and history, for those there are as well.

Each proposal gets the steps it has taken: the proposal and, where it was decided, the decision, each with the audit entry of its act.
Where the record has no such entry (0010 rejected the second of two proposals by itself) one is written, by nobody.
"""

import secrets
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from sifilma.kernel.ids import uuid7

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
PROPOSED = sa.text("state = 'proposed'")
JSON = sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), "postgresql")


def _table(name: str, **columns: sa.types.TypeEngine[Any]) -> sa.TableClause:
    return sa.table(name, *(sa.column(column, kind) for column, kind in columns.items()))


STEPPED = {
    "id": sa.Uuid(),
    "state": sa.String(),
    "reason": sa.Text(),
    "proposed_at": MOMENT,
    "decided_at": MOMENT,
    "revision": sa.Integer(),
    "changed_at": MOMENT,
    "changed_by": sa.Uuid(),
    "change_note": sa.Text(),
    "act_id": sa.Uuid(),
}
REVOCATION = _table("revocation", manifest_id=sa.Uuid(), proposed_by_person=sa.Uuid(), **STEPPED)
USER_CHANGE = _table("user_change", **STEPPED)
ENTRY = _table(
    "audit_entry",
    id=sa.Uuid(),
    at=MOMENT,
    action=sa.String(),
    user_id=sa.Uuid(),
    person_id=sa.Uuid(),
    object_kind=sa.String(),
    object_id=sa.String(),
    request_id=sa.String(),
    ip=sa.String(),
    data=JSON,
    salt=sa.LargeBinary(),
)
PENDING = _table("audit_pending", entry_id=sa.Uuid())
HISTORY = _table(
    "history",
    object_kind=sa.String(),
    object_id=sa.Uuid(),
    from_state=sa.String(),
    to_state=sa.String(),
    at=MOMENT,
    user_id=sa.Uuid(),
    note=sa.Text(),
    act_id=sa.Uuid(),
)

Acts = dict[str, list[Any]]  # audit entries, oldest first, by "action object"
Find = Callable[[Acts, Any, str], Any]
REVOKING = {"proposed": "manifest.revoke_propose", "executed": "manifest.revoke", "rejected": "manifest.revoke_reject"}
CHANGING = {"proposed": "user.change_propose", "executed": "user.change_approve", "rejected": "user.change_reject"}


def upgrade() -> None:
    for table in (REVOCATION, USER_CHANGE):
        _add_columns(table.name)
    _take_steps(REVOCATION, REVOKING, "manifest", lambda row: row.manifest_id, _act_of_revocation)
    _take_steps(USER_CHANGE, CHANGING, "user_change", lambda row: row.id, _act_of_change)
    if op.get_context().dialect.name == "postgresql":
        op.execute("SET CONSTRAINTS ALL IMMEDIATE")  # no table is altered while a check on its rows waits
    _tighten("revocation", "manifest_id", from_length=10)
    _tighten("user_change", "user_id", from_length=20)


def _add_columns(table: str) -> None:
    op.add_column(table, sa.Column("revision", sa.Integer(), nullable=True))
    op.add_column(table, sa.Column("changed_at", MOMENT, nullable=True))
    op.add_column(table, sa.Column("changed_by", sa.Uuid(), nullable=True))
    op.add_column(table, sa.Column("change_note", sa.Text(), nullable=True))
    if table == "user_change":
        op.add_column(table, sa.Column("act_id", sa.Uuid(), nullable=True))


def _take_steps(table: sa.TableClause, actions: dict[str, str], kind: str, about: Callable[[Any], Any], find: Find) -> None:
    """The history of every row, and its last step in the row itself."""
    bind, acts = op.get_bind(), _acts(actions.values())
    for row in bind.execute(sa.select(table).order_by(table.c.id)).all():
        before = ""
        states = ["proposed"] if row.state == "proposed" else ["proposed", row.state]
        for number, state in enumerate(states, start=1):
            act = find(acts, row, actions[state]) or _record(actions[state], kind, about(row), row)
            note = row.reason if state == "proposed" else act.data.get("note", "")
            values = {"object_kind": table.name, "object_id": row.id, "from_state": before, "to_state": state}
            bind.execute(sa.insert(HISTORY).values(**values, at=act.at, user_id=act.user_id, note=note, act_id=act.id))
            last = {"revision": number, "changed_at": act.at, "changed_by": act.user_id, "change_note": note, "act_id": act.id}
            bind.execute(sa.update(table).where(table.c.id == row.id).values(**last))
            before = state


def _acts(actions: Iterable[str]) -> Acts:
    found: Acts = {}
    for entry in op.get_bind().execute(sa.select(ENTRY).where(ENTRY.c.action.in_(list(actions))).order_by(ENTRY.c.id)):
        found.setdefault(f"{entry.action} {entry.object_id}", []).append(entry)
    return found


def _act_of_change(acts: Acts, row: Any, action: str) -> Any:
    """An act on a change of an account names the change."""
    return next(iter(acts.get(f"{action} {row.id}", ())), None)


def _act_of_revocation(acts: Acts, row: Any, action: str) -> Any:
    """An act on a revocation names the manifest: the row names its last act, and it was proposed by the last one of its proposer then."""
    entries = acts.get(f"{action} {row.manifest_id}", [])
    named = [entry for entry in entries if entry.id == row.act_id]
    if named or action != REVOKING["proposed"]:
        return named[0] if named else None
    theirs = [entry for entry in entries if entry.person_id == row.proposed_by_person and entry.at <= row.proposed_at]
    return theirs[-1] if theirs else None


def _record(action: str, kind: str, object_id: Any, row: Any) -> Any:
    """An act the record lacks, by nobody; it waits for the log like every entry."""
    at = (None if action.endswith("propose") else row.decided_at) or row.proposed_at
    values = {
        "id": uuid7(),
        "at": at,
        "action": action,
        "user_id": None,
        "object_kind": kind,
        "object_id": str(object_id),
        "request_id": "migration-0013",
        "ip": "",
        "data": {"migration": revision},
        "salt": secrets.token_bytes(16),
    }
    bind = op.get_bind()
    bind.execute(sa.insert(ENTRY).values(**values))
    bind.execute(sa.insert(PENDING).values(entry_id=values["id"]))
    return bind.execute(sa.select(ENTRY).where(ENTRY.c.id == values["id"])).one()


def _tighten(table: str, key: str, from_length: int) -> None:
    """What every row has now, none lacks any more. The partial index is made anew: a rebuilt table would lose its condition."""
    name = f"uq_{table}_proposed"
    op.drop_index(name, table)
    with op.batch_alter_table(table) as batch:
        for column, kind in (("revision", sa.Integer()), ("changed_at", MOMENT), ("change_note", sa.Text()), ("act_id", sa.Uuid())):
            batch.alter_column(column, existing_type=kind, nullable=False)
        if from_length < 20:
            batch.alter_column("state", existing_type=sa.String(from_length), type_=sa.String(20), existing_nullable=False)
        if table == "user_change":
            batch.create_foreign_key(
                op.f("fk_user_change_act_id"), "audit_entry", ["act_id"], ["id"], initially="DEFERRED", deferrable=True
            )
    op.create_index(name, table, [key], unique=True, sqlite_where=PROPOSED, postgresql_where=PROPOSED)
    if table == "revocation":
        op.create_index(op.f("ix_revocation_state"), table, ["state"])
