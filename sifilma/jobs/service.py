"""Begin a job, and find it again."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, func, select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.documents.uploads import clean_name
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.jobs.models import ENDED, JOB, Job, JobKind, JobRow, JobState
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, NotFound
from sifilma.kernel.paging import Listing
from sifilma.kernel.text import say

MOST_OPEN = 10


@dataclass(frozen=True)
class NewJob:
    """What a job is begun with. `id` is made beforehand, because the rows are sealed for it (it is part of their associated data)."""

    id: UUID
    kind: JobKind
    filename: str
    columns: list[str]
    total: int
    sealed: bytes = b""
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
        sealed=new.sealed,
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
    return job


def _require_room(ctx: Context) -> None:
    mine = select(func.count(Job.id)).where(Job.organisation_id == ctx.actor.organisation_id, Job.state.not_in(ENDED))
    if (ctx.session.scalar(mine) or 0) >= MOST_OPEN:
        told = say("Your organisation has %(most)s files that are being worked on. Wait until one of them is done.", most=MOST_OPEN)
        raise Conflict(told, type="too-many-jobs")


def jobs_query(ctx: Context) -> Select[Job]:
    """Return a query of the jobs of the actor's organisation."""
    return scoped(select(Job), ctx.actor, Operation.JOB_SEE, Job.organisation_id)


def list_jobs(ctx: Context, state: str = "") -> Listing[Job]:
    """Return the jobs of the actor's organisation, of one state if it is given."""
    query = jobs_query(ctx)
    return (query.where(Job.state == state) if state else query), Job.id


def get_job(ctx: Context, job_id: UUID) -> Job:
    """Return one job. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(jobs_query(ctx).where(Job.id == job_id)).first()
    if found is None:
        raise NotFound()
    return found


def failed_rows(ctx: Context, job: Job, *, after: int = 0, most: int | None = None) -> list[JobRow]:
    """Return the rows with errors, in the order of the file: those after row `after`, at most `most`."""
    query = select(JobRow).where(JobRow.job_id == job.id, JobRow.is_failed, JobRow.number > after).order_by(JobRow.number)
    return list(ctx.session.scalars(query.limit(most) if most else query))
