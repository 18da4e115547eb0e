"""The failed rows of a job, and those it did not come to, as a sheet that can be corrected and uploaded again."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm.exc import StaleDataError

from config.settings import Settings
from sifilma.documents.tables.columns import NOTES, Format
from sifilma.documents.tables.sheets import letters
from sifilma.documents.tables.templates import Filled, Say
from sifilma.jobs.models import Job, JobLine, JobRow, JobState
from sifilma.jobs.service import failed_rows, undone_lines
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, SifilmaError
from sifilma.kernel.sealing import open_sealed
from sifilma.kernel.text import Text, say, unpacked

ERROR = NOTES.name
log = structlog.get_logger()
CELLS = "job-cells"
AT_ONCE = 1000
"""Rows that are read at a time, where all of a file may be given back."""
UNDONE = {
    JobState.STOPPED: say("Not done: the work was stopped before this row."),
    JobState.CANCELLED: say("Not done: the work was cancelled before this row."),
    JobState.COMPLETED: "",
}
"""What is said of a row without a result, by the state in which the job ended."""


@dataclass(frozen=True)
class Sheet:
    """A table to be written to a file."""

    header: Sequence[str]
    rows: Iterable[Sequence[object]]


def cells_of(settings: Settings, row: JobRow | JobLine) -> dict[str, str]:
    """Return a row as it was uploaded, without its secrets."""
    opened: dict[str, str] = json.loads(open_sealed(settings, CELLS, f"{row.job_id}:{row.number}", row.cells))
    return opened


def rows_given_back(ctx: Context, job: Job) -> Iterator[JobRow | JobLine]:
    """Yield the rows to be sent again, in the order of the file: those with errors and, of a job that has ended, those without a result."""
    yield from heapq.merge(_walked(ctx, failed_rows, job), _walked(ctx, undone_lines, job), key=lambda row: row.number)


def _walked(ctx: Context, find: Callable[..., Sequence[JobRow | JobLine]], job: Job) -> Iterator[JobRow | JobLine]:
    """Yield what is found, AT_ONCE at a time, and let go of it."""
    after = 0
    while rows := find(ctx, job, after=after, most=AT_ONCE):
        yield from rows
        after = rows[-1].number
        for row in rows:
            ctx.session.expunge(row)


def errors_of(row: JobRow, say: Say = str) -> Iterator[tuple[str, str]]:
    """Yield the errors of a row as pairs of column and sentence. `say` translates."""
    return ((str(error["field"]), say(unpacked(error["message"]))) for error in row.errors)


def in_one(row: JobRow, say: Say = str) -> str:
    """Return the errors of a row as the text of one cell."""
    return "; ".join(f"{column}: {words}" if column else words for column, words in errors_of(row, say))


def told_of(row: JobRow, given_back: Filled, number: int, say: Say | None) -> str:
    """Return the errors of a row as the text of one cell of a table that is given back, in which it has this number.

    Cells have the names that they have there. Without `say` the errors are those of the API.
    """
    if say is None:
        return in_one(row)
    places = {column.name: f"{letters(index)}{number}" for index, column in enumerate(given_back.columns)}
    headings = {column.name: say(column.heading) for column in given_back.columns}
    told = [(str(error["field"]), unpacked(error["message"])) for error in row.errors]
    words = [(headings.get(column, column), say(_moved(sentence, places.get(column, "")))) for column, sentence in told]
    return "; ".join(f"{heading}: {sentence}" if heading else sentence for heading, sentence in words)


def _moved(words: str, place: str) -> str:
    """Return a sentence that names a cell with the name that it has now."""
    if isinstance(words, Text) and "cell" in words.values:
        return say(words.template, **words.values | {"cell": place})
    return words


def corrected(
    ctx: Context, settings: Settings, job: Job, form: Format, say: Say | None = None, secrets: Mapping[int, Mapping[str, str]] | None = None
) -> Filled:
    """Return the uploaded table with the rows given back only, and a column for the errors.

    `secrets` gives, by row number, the cells that are not stored with a row (tokens). Without `say` errors name columns as the API does.
    """
    names = [name for name in job.columns if name in form.names]
    empty = Filled(form, (), names, noted=True)
    rows = (
        {**cells_of(settings, row), **(secrets or {}).get(row.number, {}), ERROR: _told(job, row, empty, number, say)}
        for number, row in enumerate(rows_given_back(ctx, job), start=2)
    )
    return replace(empty, rows=rows)


def _told(job: Job, row: JobRow | JobLine, filled: Filled, number: int, say: Say | None) -> str:
    if isinstance(row, JobRow):
        return told_of(row, filled, number, say)
    return (say or str)(UNDONE[JobState(job.state)])


def refusal_for(fault: Exception, job_id: UUID, number: int) -> Exception:
    """Return the refusal, in words, for a row's own fault. One that nobody expected is logged with its trace."""
    match fault:
        case SifilmaError() | ValidationError():
            return fault
        case StaleDataError():
            return Conflict("Somebody else changed this a moment ago. Look again.")
        case IntegrityError():
            return Conflict("The database refused this: it contradicts what is recorded.")
    # The trace of a statement would show its parameters, which are the row's cells.
    of_data = isinstance(fault, StatementError)
    log.error("row failed", job=str(job_id), row=number, fault=type(fault).__name__, exc_info=None if of_data else fault)
    if of_data or isinstance(fault, ValueError | OverflowError):
        return Conflict("A value in this row cannot be stored.")
    return Conflict("An internal error: this row was not done. The operators of this service find it in the log.")


def broke_off(times: int) -> Conflict:
    """Return the refusal of a row at which workers ended again and again."""
    return Conflict(say("The work broke off %(times)s times at this row. It was given up.", times=times))
