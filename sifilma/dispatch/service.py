"""What operators do with the work: pause a chore, let it go on, and have something tried again that was given up."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, text, update

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.dispatch import queue
from sifilma.dispatch.contract import REGISTERED
from sifilma.dispatch.models import WorkRun
from sifilma.dispatch.queries import find_waiting
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed, upsert
from sifilma.kernel.errors import Conflict, Invalid, NotFound

OBJECT = "chore"
_FORGET = text("DELETE FROM procrastinate.procrastinate_jobs WHERE queueing_lock = :entry AND status = 'failed'")


def pause(ctx: Context, name: str) -> None:
    """Have a chore not run any more until it is resumed. A run or turn that has begun ends. Raise Invalid for a name that is none."""
    _require(name)
    nothing = {"node": "", "seconds": 0.0, "count": 0, "failures": 0, "error": ""}
    new = upsert(ctx.session, WorkRun).values(chore=name, subject="", paused_at=ctx.now, **nothing)
    paused = new.on_conflict_do_update(index_elements=["chore", "subject"], set_={"paused_at": ctx.now}, where=WorkRun.paused_at.is_(None))
    if changed(ctx.session.execute(paused)):
        record(ctx, Action.CHORE_PAUSE, OBJECT, name)


def resume(ctx: Context, name: str) -> None:
    """Let a chore go on. One that is not paused stays as it is. Raise Invalid for a name that is none."""
    _require(name)
    going = update(WorkRun).where(WorkRun.chore == name, WorkRun.subject == "", WorkRun.paused_at.is_not(None)).values(paused_at=None)
    if changed(ctx.session.execute(going.execution_options(synchronize_session=False))):
        record(ctx, Action.CHORE_RESUME, OBJECT, name)


def retry(ctx: Context, name: str, subject: UUID) -> None:
    """Have an object that was given up tried again. Raise NotFound if it was not.

    Raise Conflict if nothing is left to do for it: what was noted of it is gone then, so it does not stand there for ever.
    """
    _require(name)
    row = ctx.session.get(WorkRun, (name, str(subject)))
    if row is None or row.gave_up_at is None:
        raise NotFound()
    waiting = find_waiting(ctx, name, subject)
    gone = delete(WorkRun).where(WorkRun.chore == name, WorkRun.subject == str(subject)).execution_options(synchronize_session=False)
    if waiting is None:
        ctx.uow.separately(lambda session: session.execute(gone))
        raise Conflict("There is nothing left to do for it.")
    ctx.session.execute(gone)
    if ctx.session.get_bind().dialect.name == "postgresql":
        ctx.session.execute(_FORGET, {"entry": queue.entry_of(name, subject)})
    queue.enqueue(ctx.session, name, subject, waiting.organisation)
    record(ctx, Action.CHORE_RETRY, OBJECT, name, organisation_id=waiting.organisation, subject=str(subject))


def _require(name: str) -> None:
    if name not in REGISTERED:
        raise Invalid.field("chore", "There is no such task.")
