"""Invariants of work by file: counts agree with rows, and no content of a file is kept longer than its job."""

from __future__ import annotations

from sqlalchemy import and_, or_, select

from sifilma.fsck.dialects import bare
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot

_ROWS = "(SELECT COUNT(*) FROM job_row r WHERE r.job_id = j.id)"
_FAILED = f"{_ROWS[:-1]} AND r.is_failed)"


@in_snapshot("job-counts", "A job counts its rows as they are settled, and is completed with all of them.")
def counts(now: Snapshot) -> Found:
    """Compare counts and rows. Of a batch only the rows with errors are kept."""
    yield from now.find(
        "job",
        f"SELECT j.id, j.done, j.failed, {_ROWS} AS there, {_FAILED} AS wrong FROM job j"
        f" WHERE (j.kind = 'activation' AND j.done <> {_ROWS}) OR j.failed <> {_FAILED}",
        "counts {done} rows, {failed} of them failed; {there} have a result, {wrong} of them errors",
    )
    yield from now.find(
        "job",
        "SELECT j.id, j.done, j.total FROM job j WHERE j.state = 'completed' AND j.done <> j.total",
        "is completed with {done} of {total} rows",
    )


@in_snapshot("job-file", "A file's rows are kept sealed exactly until its job ends.")
def file(now: Snapshot) -> Found:
    """Check that the rows are erased with the end of the job: they contain tokens."""
    yield from now.find(
        "job",
        "SELECT j.id, j.state FROM job j WHERE j.state IN ('completed', 'stopped') AND length(j.sealed) > 0",
        "is {state}, and keeps a sealed file",
    )
    yield from now.find(
        "job",
        "SELECT j.id, j.state FROM job j WHERE j.state IN ('queued', 'running') AND j.kind = 'activation' AND length(j.sealed) < 46",
        "is {state}, and its file is gone",
    )


@in_snapshot("job-result", "What a row made is there, made for the organisation of its job, by whoever began it.")
def result(now: Snapshot) -> Found:
    """Check what the rows made. The database lets each activation belong to one row at most."""
    job, row, made = bare("job"), bare("job_row"), bare("activation")
    results = select(job.c.id, row.c.number).join(row, and_(row.c.job_id == job.c.id, row.c.result_id.is_not(None)))
    results = results.outerjoin(made, made.c.id == row.c.result_id)
    yield from now.find(
        "job_row",
        results.where(or_(made.c.id.is_(None), made.c.organisation_id != job.c.organisation_id)),
        "(row {number}) has a result that is no activation of its organisation",
    )
    yield from now.find(
        "job_row",
        results.where(or_(made.c.user_id.is_distinct_from(job.c.user_id), made.c.api_key_id.is_distinct_from(job.c.api_key_id))),
        "(row {number}) has a result that another made",
    )
