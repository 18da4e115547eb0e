"""What a job gives back: the failed rows as a sheet to be put right and sent again."""

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
    """A table as it is written to a file."""

    header: Sequence[str]
    rows: Iterable[Sequence[object]]


def cells_of(settings: Settings, row: JobRow) -> dict[str, str]:
    """A failed row as it was sent, without its secrets."""
    opened: dict[str, str] = json.loads(open_sealed(settings, CELLS, f"{row.job_id}:{row.number}", row.cells))
    return opened


def errors_of(row: JobRow, say: Say = str) -> Iterator[tuple[str, str]]:
    """What was wrong with a row: column and words."""
    return ((str(error["field"]), say(unpacked(error["message"]))) for error in row.errors)


def in_one(row: JobRow, say: Say = str) -> str:
    """The same in one cell."""
    return "; ".join(f"{column}: {words}" if column else words for column, words in errors_of(row, say))


def corrected(ctx: Context, settings: Settings, job: Job, say: Say = str, secrets: Mapping[int, Mapping[str, str]] | None = None) -> Sheet:
    """The file again with its failed rows only, each with what was wrong; `secrets` fills in by row what is not kept."""
    return Sheet([*job.columns, ERROR], [_line(settings, job, row, say, secrets or {}) for row in failed_rows(ctx, job)])


def _line(settings: Settings, job: Job, row: JobRow, say: Say, secrets: Mapping[int, Mapping[str, str]]) -> list[object]:
    cells = {**cells_of(settings, row), **secrets.get(row.number, {})}
    return [*(as_number(cells.get(name, "")) for name in job.columns), in_one(row, say)]


def as_number(text: str) -> Any:
    """A negative number is a number: as a text a spreadsheet would be kept from taking it for a formula, by a quote in front."""
    return float(text.replace(",", ".")) if _NEGATIVE.fullmatch(text) else text
