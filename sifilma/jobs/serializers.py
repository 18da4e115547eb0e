"""Convert jobs to what the API and the pages show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from sifilma.cards.serializers import TimelineStep, timeline
from sifilma.identity.models import ApiKey, Person, User
from sifilma.jobs.failed_rows import errors_of
from sifilma.jobs.models import ENDED, JOB, Job
from sifilma.jobs.schemas import JobOut, RowErrorOut
from sifilma.jobs.service import failed_rows, get_job
from sifilma.kernel.context import Context
from sifilma.web.links import links

SHOWN = 100


@dataclass(frozen=True)
class Line:
    """A job in a list, with the name of who began it."""

    of: Job
    who: str


@dataclass(frozen=True)
class JobPage:
    """A job with the errors of its first failed rows and its steps. `more` is True if there are further failed rows."""

    job: Job
    who: str
    errors: list[RowErrorOut]
    more: bool
    ended: bool
    steps: list[TimelineStep]


def job_out(job: Job) -> JobOut:
    """Return a job for the API."""
    ways = {"errors": "errors", "corrected": "corrected"} if job.failed else {}
    if job.state in ENDED:
        ways |= {"result": "result"}
    linked = links("jobs", job.id, **ways)
    return JobOut(
        id=job.id,
        kind=job.kind,
        state=job.state,
        done=job.done,
        failed=job.failed,
        total=job.total,
        filename=job.filename,
        note=job.change_note,
        waits_for=job.waits_for or None,
        created_at=job.created_at,
        ended_at=job.ended_at,
        errors_url=linked.get("errors"),
        result_url=linked.get("result"),
        links=linked,
    )


def errors_out(ctx: Context, job: Job, say: Callable[[str], str] = str, most: int | None = None) -> list[RowErrorOut]:
    """Return the errors of failed rows, in the order of the file; of at most `most` rows if it is given."""
    rows = failed_rows(ctx, job, most=most)
    return [RowErrorOut(row=row.number, field=column, message=words) for row in rows for column, words in errors_of(row, say)]


def lines(ctx: Context, jobs: Sequence[Job]) -> list[Line]:
    """Return jobs with the name of the person or API key that began each, in two queries for all."""
    people = select(User.id, Person.name).join(Person, Person.id == User.person_id).where(User.id.in_([job.user_id for job in jobs]))
    keys = select(ApiKey.id, ApiKey.name).where(ApiKey.id.in_([job.api_key_id for job in jobs]))
    names: dict[UUID, str] = dict(ctx.session.execute(people).all()) | dict(ctx.session.execute(keys).all())
    return [Line(job, names.get(job.user_id or job.api_key_id or job.id, "")) for job in jobs]


def job_page(ctx: Context, job_id: UUID, say: Callable[[str], str]) -> JobPage:
    """Return a job for its page. Raise NotFound if there is none in the actor's scope."""
    job = get_job(ctx, job_id)
    errors = errors_out(ctx, job, say, SHOWN) if job.failed else []
    return JobPage(job, lines(ctx, [job])[0].who, errors, job.failed > SHOWN, job.state in ENDED, timeline(ctx, JOB.kind, job.id))
