"""The failed rows of a job, and those it did not come to, as a sheet that can be corrected and uploaded again."""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.settings import Settings
from sifilma.documents.tables.columns import NOTES
from sifilma.jobs.models import Job, JobLine, JobRow, JobState
from sifilma.jobs.service import failed_rows, undone_lines
from sifilma.kernel.context import Context
from sifilma.kernel.sealing import open_sealed
from sifilma.kernel.text import say, unpacked

ERROR = NOTES.name
CELLS = "job-cells"
Say = Callable[[str], str]
UNDONE = {
    JobState.STOPPED: say("Not done: the work was stopped before this row."),
    JobState.CANCELLED: say("Not done: the work was cancelled before this row."),
    JobState.COMPLETED: "",
}
"""What is said of a row without a result, by the state in which the job ended."""
_NEGATIVE = re.compile(r"-\d+(?:[.,]\d+)?")


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
    parts: tuple[Sequence[JobRow | JobLine], ...] = (failed_rows(ctx, job), undone_lines(ctx, job))
    yield from heapq.merge(*parts, key=lambda row: row.number)


def errors_of(row: JobRow, say: Say = str) -> Iterator[tuple[str, str]]:
    """Yield the errors of a row as pairs of column and sentence. `say` translates."""
    return ((str(error["field"]), say(unpacked(error["message"]))) for error in row.errors)


def in_one(row: JobRow, say: Say = str) -> str:
    """Return the errors of a row as the text of one cell."""
    return "; ".join(f"{column}: {words}" if column else words for column, words in errors_of(row, say))


def corrected(ctx: Context, settings: Settings, job: Job, say: Say = str, secrets: Mapping[int, Mapping[str, str]] | None = None) -> Sheet:
    """Return the uploaded table with the rows given back only, and a column for the errors.

    `secrets` gives, by row number, the cells that are not stored with a row (tokens).
    """
    rows = (_line(settings, job, row, say, secrets or {}) for row in rows_given_back(ctx, job))
    return Sheet([*job.columns, ERROR], rows)


def _line(settings: Settings, job: Job, row: JobRow | JobLine, say: Say, secrets: Mapping[int, Mapping[str, str]]) -> list[object]:
    cells = {**cells_of(settings, row), **secrets.get(row.number, {})}
    told = in_one(row, say) if isinstance(row, JobRow) else say(UNDONE[JobState(job.state)])
    return [*(as_number(cells.get(name, "")) for name in job.columns), told]


def as_number(text: str) -> Any:
    """Return a negative number as a float, any other text unchanged.

    The writer puts a quote before a text that a spreadsheet could take for a formula. A negative coordinate must not get one.
    """
    return float(text.replace(",", ".")) if _NEGATIVE.fullmatch(text) else text
