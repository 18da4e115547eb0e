"""Invariants of work: by file, where counts agree with rows and no content outlives its job; and of people, who has it and was told."""

from __future__ import annotations

from sqlalchemy import and_, exists, or_, select

from sifilma.assignment.pages import WAITS
from sifilma.fsck.dialects import bare, dashed, fact
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot
from sifilma.jobs.models import ENDED_SQL, OF_FILES
from sifilma.own_files.models import GONE_SQL
from sifilma.reports.task_labels import TASKS

_ROWS = "(SELECT COUNT(*) FROM job_row r WHERE r.job_id = j.id)"
_FAILED = f"{_ROWS[:-1]} AND r.is_failed)"
_OF_FILES = "({})".format(", ".join(f"'{kind}'" for kind in OF_FILES))
"""Kinds whose rows wait in their file."""
_LINES = "(SELECT COUNT(*) FROM job_line l WHERE l.job_id = j.id)"


@in_snapshot("job-counts", "A job counts its rows as they are settled, and is completed with all of them.")
def counts(now: Snapshot) -> Found:
    """Compare counts and rows. Of batches and results only the rows with errors are kept."""
    yield from now.find(
        "job",
        f"SELECT j.id, j.done, j.failed, {_ROWS} AS there, {_FAILED} AS wrong FROM job j"
        f" WHERE (j.kind = 'activation' AND j.done <> {_ROWS}) OR j.failed <> {_FAILED} OR {_ROWS} > j.done",
        "counts {done} rows, {failed} of them failed; {there} have a result, {wrong} of them errors",
    )
    yield from now.find(
        "job",
        "SELECT j.id, j.done, j.total FROM job j WHERE j.state = 'completed' AND j.done <> j.total",
        "is completed with {done} of {total} rows",
    )


@in_snapshot("job-lines", "A row of a file waits or has its result, never both, and while its job is open never neither.")
def lines(now: Snapshot) -> Found:
    """Compare the waiting rows with the results. A file that an earlier version took in waits as a whole, in `sealed`."""
    yield from now.find(
        "job",
        f"SELECT j.id, j.state, j.total, j.done, {_LINES} AS there FROM job j WHERE length(j.sealed) = 0 AND {_LINES} <>"
        f" CASE WHEN j.kind IN {_OF_FILES} THEN 0 ELSE j.total - j.done END AND (j.state NOT IN {ENDED_SQL} OR {_LINES} > 0)",
        "is {state} with {done} of {total} rows done, and {there} wait",
    )
    # Parts cover the rows from the first one without a result to the last one, without a gap; none is left when the job has ended.
    needless = f"j.state IN {ENDED_SQL} OR j.kind NOT IN {_OF_FILES} OR j.done = j.total"
    yield from now.find(
        "job",
        "SELECT j.id, j.state, j.total, j.done, COALESCE(SUM(p.count), 0) AS there FROM job j LEFT JOIN job_part p ON p.job_id = j.id"
        f" GROUP BY j.id, j.kind, j.state, j.total, j.done HAVING CASE WHEN {needless} THEN COUNT(p.start) > 0"
        " ELSE COUNT(p.start) = 0 OR MIN(p.start) > j.done OR MIN(p.start + p.count) <= j.done"
        " OR MAX(p.start + p.count) <> j.total OR SUM(p.count) <> j.total - MIN(p.start) END",
        "is {state} with {done} of {total} rows done, and parts of {there} rows wait",
    )
    yield from now.find(
        "job",
        "SELECT j.id, l.number FROM job j JOIN job_line l ON l.job_id = j.id JOIN job_row r ON r.job_id = j.id AND r.number = l.number",
        "has a result for row {number}, which waits for one",
    )


@in_snapshot("job-file", "The secrets of a file are kept sealed exactly until its rows have their results, at most until its job ends.")
def file(now: Snapshot) -> Found:
    """Check that the tokens are erased with the end of the job."""
    yield from now.find(
        "job",
        f"SELECT j.id, j.state FROM job j WHERE j.state IN {ENDED_SQL} AND length(j.sealed) > 0",
        "is {state}, and keeps a sealed file",
    )
    # A sealed token is the data key's id (16), IV (12), the token (1 or more) and tag (16).
    yield from now.find(
        "job",
        "SELECT j.id, j.state, l.number FROM job j JOIN job_line l ON l.job_id = j.id"
        f" WHERE (j.state IN {ENDED_SQL} AND l.secret IS NOT NULL)"
        f" OR (j.state NOT IN {ENDED_SQL} AND j.kind = 'activation' AND COALESCE(length(l.secret), 0) < 45)",
        "is {state}; the token of row {number} is kept beyond it, or is gone before it",
    )


@in_snapshot("job-idle", "A job that has ended is held by no worker, waits for nothing and is tried no more.")
def idle(now: Snapshot) -> Found:
    """Check what only an open job has."""
    return now.find(
        "job",
        f"SELECT j.id, j.state FROM job j WHERE j.state IN {ENDED_SQL} AND (j.taken_by <> '' OR j.paused_at IS NOT NULL"
        " OR j.waits_for <> '' OR j.waiting_since IS NOT NULL OR j.working_on IS NOT NULL OR j.tries <> 0 OR j.ended_at IS NULL)",
        "is {state}, and still has a worker, a try or something to wait for",
    )


@in_snapshot("job-result", "What a row made is there, made for the organisation of its job, by whoever began it.")
def result(now: Snapshot) -> Found:
    """Check who began the job, and what the rows made. The database lets each activation belong to one row at most."""
    job, entry = bare("job"), bare("audit_entry")
    about = and_(entry.c.object_kind == "job", entry.c.object_id == dashed(job.c.id), entry.c.action == "job.begin")
    by = and_(entry.c.user_id.is_not_distinct_from(job.c.user_id), entry.c.api_key_id.is_not_distinct_from(job.c.api_key_id))
    yield from now.find("job", select(job.c.id).where(~exists().where(about, by)), "acts for somebody who did not begin it")
    row, made = bare("job_row"), bare("activation")
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


_ROW_THAT_WAITS = {"manifest": ("revocation", "state", "manifest_id"), "activation": ("activation", "review_state", "id")}
"""The table whose rows say whether an object waits, where it is not the object's own: with the columns of state and of the object's id."""


@in_snapshot("assignment-waits", "What somebody of the directorate has to do is there, and still waits for somebody.")
def waits(now: Snapshot) -> Found:
    """Compare the states of what is assigned with those in which there is work on it."""
    for kind, waiting in WAITS.items():
        table, state, key = _ROW_THAT_WAITS.get(kind, (kind, "state", "id"))
        states = ", ".join(f"'{one}'" for one in waiting)
        there = f"EXISTS (SELECT 1 FROM {table} w WHERE w.{state} IN ({states}) AND w.{key} = a.object_id)"  # constants
        query = f"SELECT a.object_id AS id FROM assignment a WHERE a.object_kind = '{kind}' AND NOT {there}"  # constants
        yield from now.find("assignment", query, f"is of a {kind} that waits for nobody")


@in_snapshot("assignment-act", "Whoever has some work got it by the act that is recorded, as an account of the directorate.")
def acts(now: Snapshot) -> Found:
    """Compare the holder with the entry of the act, and with the organisation of the account."""
    given, entry, user, home = bare("assignment"), bare("audit_entry"), bare("user_account"), bare("organisation")
    recorded = exists().where(
        entry.c.id == given.c.act_id,
        entry.c.action.in_(("work.take", "work.give")),
        entry.c.object_id == dashed(given.c.object_id),
        fact(entry.c.data, "to") == dashed(given.c.user_id),
        fact(entry.c.data, "role") == given.c.role,
    )
    yield from now.find("assignment", select(given.c.object_id.label("id")).where(~recorded), "is not what its act records")
    central = exists().where(user.c.id == given.c.user_id, home.c.id == user.c.organisation_id, home.c.kind == "directorate")
    yield from now.find("assignment", select(given.c.object_id.label("id")).where(~central), "is to nobody of the directorate")


@in_snapshot("notice-told", "What the bell tells is told to an account that is there, and is something that has words.")
def told(now: Snapshot) -> Found:
    """Look for notices to nobody and of nothing."""
    notice, user = bare("notice"), bare("user_account")
    query = select(notice.c.id).where(~exists().where(user.c.id == notice.c.user_id))
    yield from now.find("notice", query, "is to an account that is not there")
    yield from now.find("notice", select(notice.c.id).where(notice.c.task.not_in(sorted(TASKS))), "says nothing that has words")


@in_snapshot("own-file-content", "A file that somebody asked for has its rows and its parts exactly until it ends.")
def own_file_content(now: Snapshot) -> Found:
    """Check that the content goes with the file, and that a file that is ready is whole."""
    parts, rows = (f"(SELECT COUNT(*) FROM {table} p WHERE p.file_id = f.id)" for table in ("own_file_part", "own_file_rows"))
    body = f"{parts[:-1]} AND p.role = 'body')"
    yield from now.find(
        "own_file",
        f"SELECT f.id, f.state FROM own_file f WHERE f.state IN {GONE_SQL} AND {parts} + {rows} > 0",
        "is {state}, and keeps its content",
    )
    yield from now.find(
        "own_file",
        f"SELECT f.id FROM own_file f WHERE f.state = 'ready' AND ({body} = 0 OR {parts} <> {body})",
        "is ready, and its parts are not those of the file",
    )


@in_snapshot("own-file-asked", "Whoever a file is for asked for it.")
def own_file_asked(now: Snapshot) -> Found:
    """Compare the row with the record of who asked."""
    file, entry = bare("own_file"), bare("audit_entry")
    about = and_(entry.c.object_kind == "own_file", entry.c.object_id == dashed(file.c.id), entry.c.action == "file.ask")
    by = and_(entry.c.user_id.is_not_distinct_from(file.c.user_id), entry.c.api_key_id.is_not_distinct_from(file.c.api_key_id))
    yield from now.find("own_file", select(file.c.id).where(~exists().where(about, by)), "is for somebody who did not ask for it")
