"""Begin a job, find it again, and cancel it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.dispatch import queue
from sifilma.dispatch.contract import ROWS
from sifilma.documents.uploads import clean_name
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.jobs.models import ENDED, JOB, Job, JobKind, JobLine, JobPart, JobRow, JobState
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, NotFound
from sifilma.kernel.paging import Listing
from sifilma.kernel.text import Text, say

MOST_OPEN = 10


@dataclass(frozen=True)
class NewJob:
    """What a job is begun with. `id` is made beforehand, because the rows are sealed for it (it is part of their associated data)."""

    id: UUID
    kind: JobKind
    filename: str
    columns: list[str]
    total: int
    document_id: UUID | None = None
    subject_id: UUID | None = None


def begin(ctx: Context, new: NewJob) -> Job:
    """Queue a job on behalf of the actor. Raise Conflict (`too-many-jobs`) if its organisation has MOST_OPEN jobs that have not ended."""
    _require_room(ctx)
    job = Job(
        id=new.id,
        kind=str(new.kind),
        organisation_id=ctx.actor.organisation_id,
        user_id=ctx.actor.user_id,
        api_key_id=ctx.actor.api_key_id,
        filename=clean_name(new.filename),
        columns=new.columns,
        document_id=new.document_id,
        subject_id=new.subject_id,
        total=new.total,
        done=0,
        failed=0,
        created_at=ctx.now,
        due_at=ctx.now,
    )
    act = record(ctx, Action.JOB_BEGIN, JOB.kind, job.id, kind=job.kind, count=job.total)
    JOB.born(job, JobState.QUEUED, act)
    ctx.session.add(job)
    ctx.session.flush()
    if new.kind is not JobKind.BATCH:  # whose rows are checked already
        queue.enqueue(ctx.session, ROWS, job.id, job.organisation_id)
    return job


def _require_room(ctx: Context) -> None:
    # One upload of an organisation counts at a time: two at once would both find the last place free. NO KEY UPDATE lets others go on
    # inserting rows that refer to the organisation.
    mine = ctx.actor.organisation_id
    ctx.session.execute(select(Organisation.id).where(Organisation.id == mine).with_for_update(key_share=True))
    open_jobs = select(func.count(Job.id)).where(Job.organisation_id == mine, Job.state.not_in(ENDED))
    if (ctx.session.scalar(open_jobs) or 0) >= MOST_OPEN:
        told = say(
            "Your organisation has %(most)s files that are being worked on. Wait until one of them is done, or cancel one.", most=MOST_OPEN
        )
        raise Conflict(told, type="too-many-jobs")


def cancel(ctx: Context, job_id: UUID, note: str = "") -> Job:
    """Cancel a job. Rows that have a result keep it; the others are given back. Cancelling a cancelled job changes nothing.

    A worker in the middle of the job loses its turn with this commit: what it has not committed by then, it rolls back. Raise NotFound
    outside the actor's scope, and Conflict if the job has ended otherwise.
    """
    job = get_job(ctx, job_id, Operation.JOB_CANCEL)
    hold(ctx.session, job)
    if job.state != JobState.CANCELLED:
        facts: dict[str, Any] = {"kind": job.kind, "done": job.done, "count": job.total}
        act = record(ctx, Action.JOB_CANCEL, JOB.kind, job.id, organisation_id=job.organisation_id, **facts)
        close(ctx, job, JobState.CANCELLED, act, note)
        ctx.session.flush()
    return job


def withdraw(ctx: Context, job: Job, note: Text) -> None:
    """Cancel a job, if it has not ended, because what it is for changes by an act of the actor, who need not be allowed to cancel jobs.

    With the commit its worker has lost its turn: it has written either all of a set of rows before, or nothing.
    """
    hold(ctx.session, job)
    if job.state not in ENDED:
        facts: dict[str, Any] = {"kind": job.kind, "done": job.done, "count": job.total}
        close(ctx, job, JobState.CANCELLED, record(ctx, Action.JOB_CANCEL, JOB.kind, job.id, **facts), note)
        ctx.session.flush()


def newest_of(ctx: Context, subject_id: UUID, kind: JobKind) -> Job | None:
    """Return the newest job of this kind about an object. The caller has checked that the actor may see the object."""
    query = select(Job).where(Job.subject_id == subject_id, Job.kind == kind).order_by(Job.id.desc()).limit(1)
    return ctx.session.scalars(query).first()


def pause(ctx: Context, job_id: UUID) -> Job:
    """Have a job given no turn any more until it is resumed. Pausing it once more changes nothing; what its present turn has done stays.

    Raise NotFound outside the actor's scope, and Conflict if the job has ended.
    """
    job = _going(ctx, job_id)
    if job.paused_at is None:
        job.paused_at = ctx.now
        record(ctx, Action.JOB_PAUSE, JOB.kind, job.id, organisation_id=job.organisation_id, done=job.done, count=job.total)
        ctx.session.flush()
        queue.cancel(ctx.session, ROWS, job.id)
    return job


def resume(ctx: Context, job_id: UUID) -> Job:
    """Let a job go on that was paused. Resuming it once more changes nothing. Raise as `pause` does."""
    job = _going(ctx, job_id)
    if job.paused_at is not None:
        job.paused_at, job.rate, job.measured_at = None, None, None
        record(ctx, Action.JOB_RESUME, JOB.kind, job.id, organisation_id=job.organisation_id, done=job.done, count=job.total)
        ctx.session.flush()
        queue.enqueue(ctx.session, ROWS, job.id, job.organisation_id)
    return job


def _going(ctx: Context, job_id: UUID) -> Job:
    """Return a job that has not ended, locked. Who may cancel it may pause it."""
    job = get_job(ctx, job_id, Operation.JOB_CANCEL)
    hold(ctx.session, job)
    if job.state in ENDED:
        raise Conflict("This work has ended.")
    return job


def close(ctx: Context, job: Job, state: JobState, act: Act, note: str = "") -> None:
    """End a job in the same step in which its file is emptied and its turn is taken away. Raise Conflict if it has ended."""
    JOB.move(ctx.session, job, state, act, note)
    job.sealed, job.taken_by, job.waits_for, job.waiting_since = b"", "", "", None
    job.tries, job.working_on, job.ended_at, job.paused_at = 0, None, ctx.now, None
    ctx.session.execute(delete(JobPart).where(JobPart.job_id == job.id).execution_options(synchronize_session=False))
    queue.cancel(ctx.session, ROWS, job.id)


def jobs_query(ctx: Context, operation: Operation = Operation.JOB_SEE) -> Select[Job]:
    """Return a query of the jobs on which the actor may do this."""
    return scoped(select(Job), ctx.actor, operation, Job.organisation_id, unit=lambda actor: Job.user_id == actor.user_id)


def list_jobs(ctx: Context, state: str = "") -> Listing[Job]:
    """Return the jobs that the actor may see, of one state if it is given."""
    query = jobs_query(ctx)
    return (query.where(Job.state == state) if state else query), Job.id


def get_job(ctx: Context, job_id: UUID, operation: Operation = Operation.JOB_SEE) -> Job:
    """Return one job. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(jobs_query(ctx, operation).where(Job.id == job_id)).first()
    if found is None:
        raise NotFound()
    return found


def has_turns() -> ColumnElement[bool]:
    """Return the condition of jobs that have turns: they have not ended, and are not paused."""
    return Job.state.not_in(ENDED) & Job.paused_at.is_(None)


def waiting_query() -> Select[UUID, UUID]:
    """Return a query of the jobs that have turns, with their organisations."""
    return select(Job.id, Job.organisation_id).where(has_turns(), Job.kind != JobKind.BATCH).order_by(Job.id)


def failed_rows(ctx: Context, job: Job, *, after: int = 0, to: int | None = None, most: int | None = None) -> list[JobRow]:
    """Return the rows with errors, in the order of the file: those after row `after`, up to row `to`, at most `most`."""
    query = select(JobRow).where(JobRow.job_id == job.id, JobRow.is_failed, JobRow.number > after).order_by(JobRow.number)
    query = query if to is None else query.where(JobRow.number <= to)
    return list(ctx.session.scalars(query.limit(most) if most else query))


def undone_lines(ctx: Context, job: Job, *, after: int = 0, most: int | None = None) -> list[JobLine]:
    """Return the rows without a result of a job that has ended, in the order of the file, as `failed_rows` does. Their secrets are gone."""
    if job.state not in ENDED:
        return []
    query = select(JobLine).where(JobLine.job_id == job.id, JobLine.number > after).order_by(JobLine.number)
    return list(ctx.session.scalars(query.limit(most) if most else query))
