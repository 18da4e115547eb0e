"""Convert jobs to what the API and the pages show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from config.settings import Settings
from sifilma.cards.serializers import TimelineStep, timeline
from sifilma.identity.models import ApiKey, Organisation, Person, User
from sifilma.jobs.failed_rows import cells_of, errors_of
from sifilma.jobs.models import ENDED, JOB, Job
from sifilma.jobs.schemas import JobOut, RowErrorOut
from sifilma.jobs.service import failed_rows, get_job
from sifilma.kernel.context import Context
from sifilma.web.links import links

SHOWN = 100


@dataclass(frozen=True)
class Line:
    """A job in a list, with the name of who began it and of their organisation."""

    of: Job
    who: str
    organisation: str


@dataclass(frozen=True)
class JobPage:
    """A job with the errors of its first failed rows and its steps. `more` is True if there are further failed rows.

    `undone` is the number of rows that the job did not come to before it ended. `cards` are the UIDs of failed rows, by row number.
    """

    job: Job
    who: str
    organisation: str
    undone: int
    errors: list[RowErrorOut]
    cards: dict[int, str]
    more: bool
    ended: bool
    steps: list[TimelineStep]


def has_undone(job: Job) -> bool:
    """Return whether the job has ended without a result for some rows, which are given back."""
    return job.state in ENDED and job.done < job.total


def job_out(job: Job) -> JobOut:
    """Return a job for the API."""
    ways = {"errors": "errors"} if job.failed else {}
    if job.failed or has_undone(job):
        ways |= {"corrected": "corrected"}
    other = "resume" if job.paused_at else "pause"
    ways |= {"result": "result"} if job.state in ENDED else {"cancel": "cancel", other: other}
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
        waiting_since=job.waiting_since,
        tries=job.tries,
        undone=job.total - job.done,
        paused_at=job.paused_at,
        rows_per_second=job.rate if job.ended_at is None else None,
        seconds_left=job.seconds_left,
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
    """Return jobs with the names of who began each (a person or an API key) and of their organisation, in three queries for all."""
    people = select(User.id, Person.name).join(Person, Person.id == User.person_id).where(User.id.in_([job.user_id for job in jobs]))
    keys = select(ApiKey.id, ApiKey.name).where(ApiKey.id.in_([job.api_key_id for job in jobs]))
    owners = select(Organisation.id, Organisation.name).where(Organisation.id.in_({job.organisation_id for job in jobs}))
    names: dict[UUID, str] = {}
    for query in (people, keys, owners):
        names |= dict(ctx.session.execute(query).all())
    return [Line(job, names.get(job.user_id or job.api_key_id or job.id, ""), names.get(job.organisation_id, "")) for job in jobs]


def job_page(ctx: Context, settings: Settings, job_id: UUID, say: Callable[[str], str]) -> JobPage:
    """Return a job for its page. Raise NotFound if there is none in the actor's scope."""
    job = get_job(ctx, job_id)
    errors = errors_out(ctx, job, say, SHOWN) if job.failed else []
    (line,) = lines(ctx, [job])
    undone = job.total - job.done if has_undone(job) else 0
    steps = timeline(ctx, JOB.kind, job.id)
    rows = failed_rows(ctx, job, most=SHOWN) if errors else []
    cards = {row.number: uid for row in rows if row.cells and (uid := cells_of(settings, row).get("sam_uid", ""))}
    return JobPage(job, line.who, line.organisation, undone, errors, cards, job.failed > SHOWN, job.state in ENDED, steps)
