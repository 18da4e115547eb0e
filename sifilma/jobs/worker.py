"""The worker: it takes jobs, works on their rows, and waits when a resource (HSM, database, file store) is out of reach.

The result of a row is written in the same transaction as the row's act, and only in the job's latest turn. So after a crash exactly the
rows without a result are done again, and a worker whose job had another turn meanwhile can write nothing more.

Which job has a turn, the dispatcher says (`turn`). Where one process does everything (`work`), the organisation that was served longest ago
is next, and of its jobs the one served longest ago. Every turn settles a row, unless something is out of reach.
A turn that settles none for another reason, because it failed or because its worker died, is counted. The next turn then does row by row.
A row that ends workers, and a job whose turns fail again and again, are given up.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlalchemy import ColumnElement, Select, case, delete, func, select, update
from sqlalchemy.orm import aliased

from config.settings import Settings
from hsm import HSM
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.dispatch import turns
from sifilma.dispatch.contract import Turn
from sifilma.dispatch.outages import HSM as HSM_AWAY
from sifilma.dispatch.outages import outage_of
from sifilma.dispatch.turns import Barred, Lost, rate_of
from sifilma.documents.tables.templates import Filled, Say
from sifilma.identity.permissions import Operation, grants
from sifilma.jobs.failed_rows import CELLS, Sheet
from sifilma.jobs.models import JOB, Job, JobLine, JobRow, JobState
from sifilma.jobs.service import close, has_turns
from sifilma.kernel import deadline
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import among, changed
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.many.copying import insert_all, table_of
from sifilma.kernel.sealing import seal
from sifilma.kernel.text import Text, packed, say
from sifilma.kernel.timekeeping.moments import has_come
from sifilma.regions.place import PlaceCheck

# The pauses before a job is tried again when a resource was out of reach: as long as it has waited so far, within these bounds.
AGAIN = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=1)
# Seconds that one turn may wait for database and HSM, all waits together.
TURN = 10.0
# Seconds for which a turn goes on with further rows.
AT_ONCE = 1.0
# Turns without a settled row, outages apart, after which the row that is tried alone is given up, and the job itself.
ROW_TRIES = 3
_of_same, _every = aliased(Job), aliased(Job)
MOST_TRIES = 6
THIS = str(uuid7())
"""The name of this process among the workers."""

log = structlog.get_logger()


REFUSALS = (Invalid, Conflict, NotFound, ValidationError)
"""What a row is refused with, in words."""


class Moot(Exception):
    """What the job is for has changed, so that it has nothing to do any more. The message says so in words."""

    def __init__(self, told: Text) -> None:
        super().__init__(told)
        self.told = told


@dataclass(frozen=True)
class Tools:
    """What a worker needs. `open` gives a writing Context of the system; `name` distinguishes this worker process from others."""

    open: Callable[[], AbstractContextManager[Context]]
    settings: Settings
    hsm: HSM
    files: FileStore
    places: Callable[[], PlaceCheck]
    name: str = THIS


@dataclass(frozen=True)
class Taken:
    """A job that this worker gives a turn. `job` is detached and shows the state when it was taken."""

    tools: Tools
    job: Job
    until: float
    """The end of this turn, on the monotonic clock."""

    @property
    def careful(self) -> bool:
        """Return whether the turn before failed, its worker died, or it waits for the HSM: rows are then done one by one.

        That finds the row that does it. A slow HSM answers for one row in time where it does not for many.
        """
        return self.job.tries > 1 or self.job.waits_for == HSM_AWAY

    @property
    def in_time(self) -> bool:
        """Return whether this turn is not over yet."""
        return time.monotonic() < self.until


@dataclass(frozen=True)
class Line:
    """One row to be done: its sealed cells, and its secret, sealed by the HSM's key."""

    number: int
    cells: bytes
    secret: bytes | None = None


@dataclass(frozen=True)
class Settled:
    """The result of one row: the id of the object it made, or its errors with its sealed cells."""

    number: int
    result_id: UUID | None = None
    errors: Sequence[dict[str, Any]] = ()
    cells: bytes = b""


class Kind(Protocol):
    """What the worker needs to know of one kind of job."""

    operation: Operation

    def work(self, taken: Taken) -> bool:
        """Settle rows until the turn is over, at least one. Return whether all rows are settled.

        May raise Lost, Barred, Moot and what is an outage (`outages.outage_of`). Everything else counts against the job.
        """
        ...

    def result(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say) -> Sheet:
        """Return a sheet with the result of each row."""
        ...

    def corrected(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say | None) -> Filled:
        """Return a table of the failed rows, to be corrected and uploaded again. Without `say` its words are the API's."""
        ...


KINDS: dict[str, Kind] = {}


def register(name: str, kind: Kind) -> None:
    """Register a kind of job. Registering it again replaces it."""
    KINDS[name] = kind


def work(tools: Tools, seconds: float = AT_ONCE) -> int:
    """Work on due jobs for about `seconds`. Return the number of rows settled."""
    until, settled = time.monotonic() + seconds, 0
    while time.monotonic() < until and (job := _take(tools)) is not None:
        settled += _serve(Taken(tools, job, until))
    return settled


def turn(tools: Tools, job_id: UUID, seconds: float = AT_ONCE) -> Turn:
    """Give this job a turn. Return the number of rows settled, and when it is due again: never if it has ended or is paused."""
    job = _take(tools, job_id)
    if job is None:
        return Turn()
    settled = _serve(Taken(tools, job, time.monotonic() + seconds))
    with tools.open() as ctx:
        ctx.uow.begin_read()
        due_at = ctx.session.scalar(select(Job.due_at).where(Job.id == job_id, has_turns()))
    return Turn(settled, None if due_at is None else min(max(0.0, (due_at - ctx.now).total_seconds()), LONGEST_PAUSE.total_seconds()))


def _next(ctx: Context) -> Select[UUID]:
    """Return a query of the job whose turn it is. Turns are numbered, not dated: a clock that jumps changes nobody's turn."""
    served = select(func.max(_of_same.served)).where(_of_same.organisation_id == Job.organisation_id).scalar_subquery()
    due = has_turns() & has_come(Job.due_at, ctx.now, LONGEST_PAUSE)
    return select(Job.id).where(due).order_by(served, Job.served, Job.id).limit(1)


def _take(tools: Tools, job_id: UUID | None = None) -> Job | None:
    """Begin a turn of this job, or of the one whose turn it is. Return the job, or None if none is due."""
    with tools.open() as ctx:
        ctx.uow.begin_read()
        # Read first: a poll that finds nothing must not take SQLite's write lock.
        waiting = job_id or ctx.session.scalar(_next(ctx))
        if waiting is None:
            return None
        ctx.uow.begin_write()
        newest = select(func.coalesce(func.max(_every.served), 0)).scalar_subquery()
        began = {
            "taken_by": tools.name,
            # Two workers that take one job at once have different turns: the second one sees the first one's number of this row.
            "served": case((Job.served > newest, Job.served), else_=newest) + 1,
            # A turn is counted when it begins: a worker that dies counts nothing any more. A turn of this living worker that was not
            # given back (the database was away at its end) is no new try.
            "tries": case((Job.taken_by == tools.name, Job.tries), else_=Job.tries + 1),
        }
        taken = update(Job).where(Job.id == waiting, has_turns()).values(**began).execution_options(synchronize_session=False)
        if changed(ctx.session.execute(taken)) == 0:
            return None
        job = ctx.session.get_one(Job, waiting)
        if job.state == JobState.QUEUED:
            JOB.move(ctx.session, job, JobState.RUNNING, _act(ctx, Action.JOB_RUN, job))
            ctx.session.flush()
        ctx.session.refresh(job)
        # Work on the rows opens other units of work; the detached job stays readable there.
        ctx.session.expunge(job)
        return job


def _act(ctx: Context, action: Action, job: Job) -> Act:
    return record(ctx, action, JOB.kind, job.id, organisation_id=job.organisation_id, kind=job.kind)


def _serve(taken: Taken) -> int:
    """Give a job one turn. Return the number of rows settled in it."""
    kind, before = KINDS[taken.job.kind], taken.job.done
    try:
        if taken.job.tries > MOST_TRIES:
            _end(taken, JobState.STOPPED, say("The work failed again and again at the same place."))
        else:
            with deadline.limit(TURN):
                finished = kind.work(taken)
            _end(taken, JobState.COMPLETED) if finished else _give_back(taken)
    except Lost:
        log.info("job taken over", job=str(taken.job.id))
    except Moot as moot:
        _end(taken, JobState.STOPPED, moot.told)
    except Barred:
        _end(taken, JobState.STOPPED, say("Whoever began it may not do this any more."))
    except Exception as fault:  # noqa: BLE001  # the turn's edge: no job keeps the others from their turns
        _after(taken, fault)
    with taken.tools.open() as ctx:
        return (ctx.session.scalar(select(Job.done).where(Job.id == taken.job.id)) or before) - before


_one_less = case((Job.tries > 0, Job.tries - 1), else_=0)


def _after(taken: Taken, fault: Exception) -> None:
    """End the turn after a fault that was no row's own, so that any worker may continue after a pause."""
    job, away = str(taken.job.id), outage_of(fault)
    if away:
        log.warning("job waits", job=job, fault=type(fault).__name__)
    else:
        log.error("job turn failed", job=job, tries=taken.job.tries, exc_info=fault)
    with taken.tools.open() as ctx:
        waited = ctx.now - (taken.job.waiting_since or ctx.now)
        values: dict[str, Any]
        if away:  # it lasts as long as it lasts, and is no try
            values = {"waits_for": away, "waiting_since": func.coalesce(Job.waiting_since, ctx.now), "tries": _one_less}
        else:
            values, waited = {"waits_for": "", "waiting_since": None}, AGAIN * 2**taken.job.tries
        _release(ctx, taken, ctx.now + min(max(waited, AGAIN), LONGEST_PAUSE), values)


def _give_back(taken: Taken) -> None:
    """End a turn that settled rows."""
    with taken.tools.open() as ctx:
        measured = {"rate": rate_of(taken.job, Job.done - taken.job.done, ctx.now), "measured_at": ctx.now}
        _release(ctx, taken, ctx.now, {"waits_for": "", "waiting_since": None, "tries": 0, "working_on": None} | measured)


def _release(ctx: Context, taken: Taken, due_at: datetime, values: Mapping[str, Any]) -> None:
    released = {"taken_by": "", "due_at": due_at} | dict(values)
    ctx.session.execute(update(Job).where(*mine(taken)).values(**released).execution_options(synchronize_session=False))


def mine(taken: Taken) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of the turn that this worker gives: nobody has begun another one, and the job goes on."""
    return (Job.id == taken.job.id, Job.served == taken.job.served, Job.state == JobState.RUNNING)


def _end(taken: Taken, state: JobState, note: str = "") -> None:
    """End the job. Do nothing if the turn was lost."""
    with taken.tools.open() as ctx:
        job = ctx.session.scalars(select(Job).where(*mine(taken))).first()
        if job is not None:
            action = Action.JOB_COMPLETE if state is JobState.COMPLETED else Action.JOB_STOP
            close(ctx, job, state, _act(ctx, action, job), note)


# --- what kinds do with a job they were given ----------------------------------------------------------------------------


def on_behalf(ctx: Context, taken: Taken) -> Context:
    """Return the Context of the person or API key that began the job. Raise Barred if they may not do this any more."""
    job = taken.job
    return turns.on_behalf(ctx, job, JOB.kind, Action.JOB_BEGIN, lambda actor: bool(grants(actor, KINDS[job.kind].operation)))


def settled_numbers(ctx: Context, job: Job) -> set[int]:
    """Return the numbers of the rows that have a result."""
    return set(ctx.session.scalars(select(JobRow.number).where(JobRow.job_id == job.id)))


def next_lines(ctx: Context, taken: Taken, most: int) -> list[JobLine]:
    """Return the first rows without a result, at most `most`, as detached objects. There are none if the turn is lost."""
    waiting = select(JobLine).join(Job, Job.id == JobLine.job_id).where(*mine(taken))
    lines = list(ctx.session.scalars(waiting.order_by(JobLine.number).limit(most)))
    for line in lines:
        ctx.session.expunge(line)
    return lines


def try_alone(taken: Taken, number: int) -> bool:
    """Note that this row is tried alone, before it is tried. Return False if workers ended at it too often: it must not be tried again.

    Raise Lost if the job had another turn meanwhile.
    """
    if taken.job.working_on == number and taken.job.tries > ROW_TRIES:
        return False
    with taken.tools.open() as ctx:
        noted = update(Job).where(*mine(taken)).values(working_on=number).execution_options(synchronize_session=False)
        if changed(ctx.session.execute(noted)) == 0:
            raise Lost
    return True


def settle(ctx: Context, taken: Taken, rows: Collection[Settled]) -> None:
    """Write results in the transaction of their acts, and count them. Raise Lost if the job had another turn meanwhile."""
    # First the turn: if it is lost, nothing else is written.
    advance(ctx, taken, len(rows), sum(1 for row in rows if row.result_id is None))
    keep(ctx, taken.job, rows)
    those = among(ctx.session, JobLine.number, [row.number for row in rows])
    ctx.session.execute(delete(JobLine).where(JobLine.job_id == taken.job.id, those))


def advance(ctx: Context, taken: Taken, done: int, failed: int) -> None:
    """Count rows. Raise Lost if the job had another turn meanwhile. The caller's transaction is then rolled back.

    The present turn counts as the first try of the row that comes next.
    """
    counts = {"done": Job.done + done, "failed": Job.failed + failed, "tries": 1, "working_on": None}
    values = counts | {"waits_for": "", "waiting_since": None}
    counted = update(Job).where(*mine(taken)).values(**values).execution_options(synchronize_session=False)
    if changed(ctx.session.execute(counted)) == 0:
        raise Lost


def take_in(ctx: Context, job: Job, lines: Collection[Line], failed: Collection[Settled] = ()) -> None:
    """Store the rows of a new job: those to be done, and those that the check at intake refused."""
    _store(ctx, job, lines)
    job.done = job.failed = len(failed)
    ctx.session.flush()
    keep(ctx, job, failed)


def spread(ctx: Context, taken: Taken, lines: Collection[Line]) -> None:
    """Store the rows of a job whose file was sealed as a whole, in its place. Raise Lost if it had another turn."""
    advance(ctx, taken, 0, 0)
    _store(ctx, taken.job, lines)
    ctx.session.execute(update(Job).where(*mine(taken)).values(sealed=b"").execution_options(synchronize_session=False))


def _store(ctx: Context, job: Job, lines: Collection[Line]) -> None:
    values = [{"job_id": job.id, "number": line.number, "cells": line.cells, "secret": line.secret} for line in lines]
    insert_all(ctx.session, table_of(JobLine), values)


def keep(ctx: Context, job: Job, rows: Collection[Settled]) -> None:
    """Insert the results of rows."""
    values = [
        {
            "job_id": job.id,
            "number": row.number,
            "is_failed": row.result_id is None,
            "result_id": row.result_id,
            "errors": list(row.errors),
            "cells": row.cells,
        }
        for row in rows
    ]
    insert_all(ctx.session, table_of(JobRow), values)


def own_fault(act: Callable[[], None]) -> Exception | None:
    """Run the act on a row. Return its fault if it is the row's own, None if there is none.

    Raise every other fault: Lost, Barred, Moot, and outages (`outages.outage_of`).
    """
    try:
        act()
        return None
    except Exception as caught:  # noqa: BLE001  # sorted below
        fault = caught
    if isinstance(fault, Lost | Barred | Moot) or outage_of(fault):
        raise fault
    return fault


def sealed_cells(settings: Settings, job_id: UUID, number: int, cells: Mapping[str, str]) -> bytes:
    """Return a row's cells, sealed for storage. A secret may have been typed into a column that should hold none."""
    return seal(settings, CELLS, f"{job_id}:{number}", json.dumps(dict(cells)).encode())


def error(column: str, message: str) -> dict[str, Any]:
    """Return one error of a row in the form in which it is stored."""
    return {"field": column, "message": packed(message)}
