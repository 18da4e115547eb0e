"""What the children that read tables share: the limits of a table, and the form of their answer, one line of JSON for each row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta

from sifilma.documents.reader_refusals import LONG_TEXT, TOO_MUCH, NotAccepted

MAX_COLUMNS = 100
MAX_CELLS = 400_000
"""Cells that hold something: 10,000 rows of 40 columns."""
MAX_TEXT = 32_767
"""Characters of a cell; a spreadsheet program takes no more."""


def as_json(lines: Iterable[Sequence[object]], most_bytes: int) -> bytes:
    """Return the rows without the empty cells at their ends. Raise NotAccepted beyond a limit."""
    out = bytearray()
    cells = 0
    for number, line in enumerate(lines, start=1):
        _check_texts(number, line)
        end = next((index for index in range(len(line), 0, -1) if line[index - 1] != ""), 0)
        cells += end
        out += json.dumps(line[:end], ensure_ascii=False, separators=(",", ":"), default=_text).encode()
        out += b"\n"
        if cells > MAX_CELLS or len(out) > most_bytes:
            raise NotAccepted(TOO_MUCH)
    return bytes(out)


def _check_texts(number: int, line: Sequence[object]) -> None:
    for index, cell in enumerate(line):
        if isinstance(cell, str) and len(cell) > MAX_TEXT:
            raise NotAccepted(LONG_TEXT, row=number, column=index + 1, most=MAX_TEXT)


def _text(cell: object) -> str:
    """Return what JSON has no form for as text: dates as in ISO 8601."""
    return cell.isoformat() if isinstance(cell, datetime | date | time) else str(cell if isinstance(cell, timedelta) else "")
