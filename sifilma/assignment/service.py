"""Take work, give it to a colleague, put it back. Whoever may act on the object still may, whoever has it (rules 1 and 2 are untouched)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from sifilma.assignment.models import Assignment
from sifilma.assignment.queries import Holder, find_colleague, find_holder, standing
from sifilma.assignment.schemas import AssignmentIn
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import User
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import changed, upsert
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.kernel.text import say


class Duties(Protocol):
    """What the assignment of work asks about an object: packages above know which tasks it has (docs/domain.md, rule 13)."""

    def hold(self, ctx: Context, kind: str, object_id: UUID) -> bool:
        """Lock the object against decisions until the transaction ends. Return False if there is none."""
        ...

    def is_there(self, ctx: Context, kind: str, object_id: UUID) -> bool:
        """Return whether there is such an object."""
        ...

    def roles(self, ctx: Context, kind: str, object_id: UUID) -> list[Role]:
        """Return the roles in which the actor has a task on the object now, the first task first."""
        ...

    def roles_of(self, ctx: Context, user: User, kind: str, object_id: UUID) -> list[Role]:
        """Return the same for another account, as if it asked by itself."""
        ...

    def wanted(self, ctx: Context, kind: str, object_id: UUID) -> list[Role]:
        """Return the roles in which somebody has a task on the object now, whoever it is."""
        ...


@dataclass(frozen=True)
class Passed:
    """What an assignment changed: the account that had the object before, and the one that has it now; None: nobody."""

    kind: str
    object_id: UUID
    before: UUID | None
    now: UUID | None


Assigned = Callable[[Context, Passed], None]
_hooks: list[Assigned] = []
_duties: list[Duties] = []


def register_duties(duties: Duties) -> None:
    """Say who knows the tasks. The last one counts."""
    _duties[:] = [duties]


def duties() -> Duties:
    """Return what was registered at start-up."""
    return _duties[0]


def on_assigned(hook: Assigned) -> None:
    """Have `hook` called after each assignment, in its transaction. Attaching it twice has no effect."""
    if hook not in _hooks:
        _hooks.append(hook)


def assign(ctx: Context, data: AssignmentIn) -> Holder | None:
    """Give the work on an object to an account of the directorate, or put it back. Return who has it now.

    Raise NotFound if there is no such object, Conflict if it does not wait for the actor (`not-waiting`) or somebody else was faster
    (`taken`), and Invalid (`to`) for an account that the object does not wait for.
    """
    if not duties().hold(ctx, data.object_kind, data.object_id):
        raise NotFound()
    mine = duties().roles(ctx, data.object_kind, data.object_id)
    if not mine:
        raise Conflict("Nothing about it waits for you: only work that is yours too can be taken or given.", type="not-waiting")
    _require_seen(find_holder(ctx, data.object_id), data)
    if data.to == data.held_by:
        return find_holder(ctx, data.object_id)
    role = _role(ctx, data, mine) if data.to else None
    act = _record(ctx, data, role)
    if not _write(ctx, data, role, act):
        raise _taken(find_holder(ctx, data.object_id))
    for hook in _hooks:
        hook(ctx, Passed(data.object_kind, data.object_id, data.held_by, data.to))
    return find_holder(ctx, data.object_id)


def _require_seen(holder: Holder | None, data: AssignmentIn) -> None:
    if (holder.user_id if holder else None) != data.held_by:
        raise _taken(holder)


def _taken(holder: Holder | None) -> Conflict:
    if holder is None:
        return Conflict("This was put back meanwhile: nobody has it.", type="taken")
    return Conflict(
        say("%(name)s has this already.", name=holder.name), type="taken", holder={"id": str(holder.user_id), "name": holder.name}
    )


def _role(ctx: Context, data: AssignmentIn, mine: list[Role]) -> Role:
    if data.to == ctx.actor.user_id:
        return mine[0]
    colleague = find_colleague(ctx, data.to) if data.to else None
    found = duties().roles_of(ctx, colleague, data.object_kind, data.object_id) if colleague else []
    if not found:
        raise Invalid.field("to", "This person cannot act on it as it stands.")
    return found[0]


def _record(ctx: Context, data: AssignmentIn, role: Role | None) -> Act:
    action = Action.WORK_PUT_BACK if data.to is None else Action.WORK_TAKE if data.to == ctx.actor.user_id else Action.WORK_GIVE
    named = {"to": data.to, "role": role, "before": data.held_by}
    facts: dict[str, Any] = {name: str(value) for name, value in named.items() if value is not None}
    return record(ctx, action, data.object_kind, data.object_id, **facts)


def _write(ctx: Context, data: AssignmentIn, role: Role | None, act: Act) -> bool:
    """Write who has the object now. Return False if somebody was faster: each statement asks who has it at its own moment."""
    this, quick = Assignment.object_id == data.object_id, {"synchronize_session": False}
    had = (this, Assignment.user_id == data.held_by)
    if data.to is None:
        return changed(ctx.session.execute(delete(Assignment).where(*had).execution_options(**quick))) == 1
    values = {"user_id": data.to, "role": str(role), "at": act.at, "act_id": act.id}
    if data.held_by is not None:
        return changed(ctx.session.execute(update(Assignment).where(*had).values(values).execution_options(**quick))) == 1
    counting = select(User.id).where(standing(ctx.now)).correlate(Assignment).exists()
    ctx.session.execute(delete(Assignment).where(this, ~counting).execution_options(**quick))  # of somebody who has left
    key = {"object_id": data.object_id, "object_kind": data.object_kind}
    taken = upsert(ctx.session, Assignment).values(key | values).on_conflict_do_nothing().returning(Assignment.object_id)
    return ctx.session.execute(taken).first() is not None


def release(session: Session, object_id: UUID, *, role: Role | None = None, user_id: UUID | None = None) -> None:
    """End the assignment of an object by the act that did the work; only one in this role, or of this account, if they are given.

    That act has an entry of its own.
    """
    ended = delete(Assignment).where(Assignment.object_id == object_id)
    if role is not None:
        ended = ended.where(Assignment.role == role)
    if user_id is not None:
        ended = ended.where(Assignment.user_id == user_id)
    with session.no_autoflush:
        session.execute(ended.execution_options(synchronize_session=False))
