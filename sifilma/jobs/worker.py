"""The worker: it takes jobs, works on their rows, and waits when a resource (HSM, database, file store) is out of reach.

The result of a row is written in the same transaction as the row's act, and only by the worker that holds the job's lease. So after a
crash exactly the rows without a result are done again, and a worker that has lost its lease can write nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from hsm import HSM
from hsm.errors import HSMError
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.permissions import Operation, grants
from sifilma.jobs.failed_rows import CELLS, Say, Sheet
from sifilma.jobs.models import ENDED, JOB, Job, JobRow, JobState
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed
from sifilma.kernel.errors import Unavailable
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.sealing import seal
from sifilma.kernel.text import packed, say
from sifilma.regions.place import PlaceCheck
from sifilma.sign_in.authentication import find_actor

# Renewed with every result. It also bounds how long a crashed worker's job stands still.
LEASE = timedelta(seconds=15)
# The pause before a job is tried again when a resource was out of reach.
AGAIN = timedelta(seconds=5)
# A fault of these kinds is not the row's: the job waits and is tried again. OSError covers the file store.
OUTAGES = (HSMError, SQLAlchemyError, Unavailable, OSError)
THIS = str(uuid7())
"""The name of this process among the workers."""

log = structlog.get_logger()


class Lost(Exception):
    """Another worker holds the lease now, or the job has ended. Nothing this worker still does for the job counts."""


class Barred(Exception):
    """The person or API key that began the job may not do this any more."""


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
    """A job whose lease this worker holds. `job` is detached and shows the state when it was taken."""

    tools: Tools
    job: Job
    until: float
    """The end of this turn, on the monotonic clock."""

    @property
    def in_time(self) -> bool:
        """Return whether this turn is not over yet."""
        return time.monotonic() < self.until


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
        """Settle rows until the turn is over. Return whether all rows are settled. May raise Lost, Barred and any of OUTAGES."""
        ...

    def result(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say) -> Sheet:
        """Return a sheet with the result of each row."""
        ...

    def corrected(self, ctx: Context, settings: Settings, store: FileStore, job: Job, say: Say) -> Sheet:
        """Return a sheet of the failed rows, to be corrected and uploaded again."""
        ...


KINDS: dict[str, Kind] = {}


def register(name: str, kind: Kind) -> None:
    """Register a kind of job. Registering it again replaces it."""
    KINDS[name] = kind


def work(tools: Tools, seconds: float = 1.0) -> int:
    """Work on due jobs for about `seconds`. Return the number of rows settled."""
    until, settled = time.monotonic() + seconds, 0
    while time.monotonic() < until and (job := _take(tools)) is not None:
        settled += _serve(Taken(tools, job, until))
    return settled


def _due(ctx: Context, tools: Tools) -> ColumnElement[bool]:
    free = or_(Job.taken_until.is_(None), Job.taken_until < ctx.now, Job.taken_by == tools.name)
    return Job.state.not_in(ENDED) & (Job.due_at <= ctx.now) & free


def _take(tools: Tools) -> Job | None:
    """Take the lease of the job that has waited longest, by a conditional UPDATE. Return the job, or None if none is due."""
    with tools.open() as ctx:
        ctx.uow.begin_read()
        waiting = ctx.session.scalar(select(Job.id).where(_due(ctx, tools)).order_by(Job.due_at, Job.id).limit(1))
        if waiting is None:
            return None
        # Read first: a poll that finds nothing must not take SQLite's write lock. The UPDATE repeats the condition, since another
        # worker may have taken the job in between.
        ctx.uow.begin_write()
        lease = {"taken_by": tools.name, "taken_until": ctx.now + LEASE}
        taken = update(Job).where(Job.id == waiting, _due(ctx, tools)).values(**lease).execution_options(synchronize_session=False)
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


def _act(ctx: Context, action: Action, job: Job) -> Any:
    return record(ctx, action, JOB.kind, job.id, organisation_id=job.organisation_id, kind=job.kind)


def _serve(taken: Taken) -> int:
    """Give a job one turn. Return the number of rows settled in it.

    If a resource is out of reach, the job waits, and the lease is given back so that any worker may continue.
    """
    kind, before = KINDS[taken.job.kind], taken.job.done
    try:
        if kind.work(taken):
            _end(taken, JobState.COMPLETED)
        else:
            _give_back(taken)
    except Lost:
        log.info("job taken over", job=str(taken.job.id))
    except Barred:
        _end(taken, JobState.STOPPED, say("Whoever began it may not do this any more."))
    except OUTAGES as away:
        log.warning("job waits", job=str(taken.job.id), fault=type(away).__name__)
        _give_back(taken, "hsm" if isinstance(away, HSMError) else "service")
    with taken.tools.open() as ctx:
        return (ctx.session.scalar(select(Job.done).where(Job.id == taken.job.id)) or before) - before


def _mine(taken: Taken) -> tuple[ColumnElement[bool], ...]:
    return (Job.id == taken.job.id, Job.taken_by == taken.tools.name, Job.state == JobState.RUNNING)


def _give_back(taken: Taken, waits_for: str = "") -> None:
    with taken.tools.open() as ctx:
        due = ctx.now + AGAIN if waits_for else ctx.now
        values = {"taken_by": "", "taken_until": None, "waits_for": waits_for, "due_at": due}
        ctx.session.execute(update(Job).where(*_mine(taken)).values(**values).execution_options(synchronize_session=False))


def _end(taken: Taken, state: JobState, note: str = "") -> None:
    """End the job and empty `sealed` in the same step. Do nothing if the lease was lost."""
    with taken.tools.open() as ctx:
        job = ctx.session.scalars(select(Job).where(*_mine(taken))).first()
        if job is None:
            return
        action = Action.JOB_COMPLETE if state is JobState.COMPLETED else Action.JOB_STOP
        JOB.move(ctx.session, job, state, _act(ctx, action, job), note)
        job.sealed, job.taken_by, job.taken_until, job.waits_for, job.ended_at = b"", "", None, "", ctx.now


# --- what kinds do with a job they were given ----------------------------------------------------------------------------


def on_behalf(ctx: Context, taken: Taken) -> Context:
    """Return the Context of the person or API key that began the job. Raise Barred if they may not do this any more."""
    job = taken.job
    actor = find_actor(ctx, job.user_id, job.api_key_id)
    if actor is None or actor.organisation_id != job.organisation_id or not grants(actor, KINDS[job.kind].operation):
        raise Barred
    return replace(ctx, actor=actor, request_id=str(job.id))


def settled_numbers(ctx: Context, job: Job) -> set[int]:
    """Return the numbers of the rows that have a result."""
    return set(ctx.session.scalars(select(JobRow.number).where(JobRow.job_id == job.id)))


def settle(ctx: Context, taken: Taken, rows: Collection[Settled]) -> None:
    """Write results in the transaction of their acts, and count them. Raise Lost if another worker holds the lease."""
    # First the lease: if it is lost, nothing else is written.
    advance(ctx, taken, len(rows), sum(1 for row in rows if row.result_id is None))
    keep(ctx, taken.job, rows)


def advance(ctx: Context, taken: Taken, done: int, failed: int) -> None:
    """Count rows and renew the lease. Raise Lost if another worker holds it. The caller's transaction is then rolled back."""
    values = {"done": Job.done + done, "failed": Job.failed + failed, "taken_until": ctx.now + LEASE, "waits_for": ""}
    counted = update(Job).where(*_mine(taken)).values(**values).execution_options(synchronize_session=False)
    if changed(ctx.session.execute(counted)) == 0:
        raise Lost


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
    if values:
        ctx.session.execute(insert(JobRow), values)


def sealed_cells(taken: Taken, number: int, cells: bytes) -> bytes:
    """Return a row's cells, sealed for storage. A secret may have been typed into a column that should hold none."""
    return seal(taken.tools.settings, CELLS, f"{taken.job.id}:{number}", cells)


def error(column: str, message: str) -> dict[str, Any]:
    """Return one error of a row in the form in which it is stored."""
    return {"field": column, "message": packed(message)}
