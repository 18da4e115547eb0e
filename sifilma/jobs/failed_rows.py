"""The failed rows of a job as a sheet that can be corrected and uploaded again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.settings import Settings
from sifilma.jobs.models import Job, JobRow
from sifilma.jobs.service import failed_rows
from sifilma.kernel.context import Context
from sifilma.kernel.sealing import open_sealed
from sifilma.kernel.text import unpacked

ERROR = "error"
CELLS = "job-cells"
Say = Callable[[str], str]
_NEGATIVE = re.compile(r"-\d+(?:[.,]\d+)?")


@dataclass(frozen=True)
class Sheet:
    """A table to be written to a file."""

    header: Sequence[str]
    rows: Iterable[Sequence[object]]


def cells_of(settings: Settings, row: JobRow) -> dict[str, str]:
    """Return a failed row as it was uploaded, without its secrets."""
    opened: dict[str, str] = json.loads(open_sealed(settings, CELLS, f"{row.job_id}:{row.number}", row.cells))
    return opened


def errors_of(row: JobRow, say: Say = str) -> Iterator[tuple[str, str]]:
    """Yield the errors of a row as pairs of column and sentence. `say` translates."""
    return ((str(error["field"]), say(unpacked(error["message"]))) for error in row.errors)


def in_one(row: JobRow, say: Say = str) -> str:
    """Return the errors of a row as the text of one cell."""
    return "; ".join(f"{column}: {words}" if column else words for column, words in errors_of(row, say))


def corrected(ctx: Context, settings: Settings, job: Job, say: Say = str, secrets: Mapping[int, Mapping[str, str]] | None = None) -> Sheet:
    """Return the uploaded table with its failed rows only, and a column for the errors.

    `secrets` gives, by row number, the cells that are not stored with a row (tokens).
    """
    return Sheet([*job.columns, ERROR], [_line(settings, job, row, say, secrets or {}) for row in failed_rows(ctx, job)])


def _line(settings: Settings, job: Job, row: JobRow, say: Say, secrets: Mapping[int, Mapping[str, str]]) -> list[object]:
    cells = {**cells_of(settings, row), **secrets.get(row.number, {})}
    return [*(as_number(cells.get(name, "")) for name in job.columns), in_one(row, say)]


def as_number(text: str) -> Any:
    """Return a negative number as a float, any other text unchanged.

    The writer puts a quote before a text that a spreadsheet could take for a formula. A negative coordinate must not get one.
    """
    return float(text.replace(",", ".")) if _NEGATIVE.fullmatch(text) else text
