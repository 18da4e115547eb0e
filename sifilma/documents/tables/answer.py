"""The answer of the children that read tables: one line of JSON for each row, and one for the heading; and the limits of a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Iterator

from sifilma.documents.reader_refusals import LONG_TEXT, TOO_MUCH, NotAccepted
from sifilma.documents.tables.headings import Candidate, Line, Wanted, filled_rows

WHOLE, NUMBER, DAY, TRUTH, FAULT, NO_VALUE = "whole", "number", "day", "truth", "fault", "no value"
"""Kinds of cells that are no text. WHOLE is a whole number that is shown with all its digits; NUMBER is every other number.

FAULT is an error value (`#N/A`), NO_VALUE a formula whose value is not in the file.
"""
MAX_COLUMNS = 100
MAX_CELLS = 400_000
"""Cells that hold something: 10,000 rows of 40 columns."""
MOST_NAMED = 5000
"""Rows that a warning is about, at most."""
FOR_HEADING = 64 * 1024
"""Bytes of the answer that are kept for its last line."""
MAX_TEXT = 32_767
"""Characters of a cell; a spreadsheet program takes no more."""


def answer_of(found: Candidate, wanted: Wanted, most_rows: int, most_bytes: int, hidden: Collection[int] = ()) -> bytes:
    """Return the rows of a table (number, cells), then its heading. Raise NotAccepted beyond a limit.

    `hidden` are the numbers of rows that the sheet does not show; it may grow while the rows are read.
    """
    heading = found.heading
    assert heading is not None  # noqa: S101  # the caller's
    unseen: list[int] = []
    hollow: list[int] = []
    out = bytearray()
    for number, packed in _lines(filled_rows(found, wanted, most_rows, hollow), most_bytes - FOR_HEADING):
        out += packed
        if number in hidden:
            unseen.append(number)
    told = {"sheet": found.sheet, "row": heading.row, "texts": heading.texts, "names": heading.names}
    return bytes(out + _packed(told | {"hidden": unseen[:MOST_NAMED], "hollow": hollow[:MOST_NAMED]}))


def stream_of(found: Candidate, wanted: Wanted, hidden: Collection[int] = ()) -> Iterator[bytes]:
    """Yield the heading of a table, its rows (number, cells), and what is told of all of them.

    There is no limit of rows: whoever reads holds a few at a time. Raise NotAccepted for a cell that no spreadsheet program takes.
    """
    heading = found.heading
    assert heading is not None  # noqa: S101  # the caller's
    yield _packed({"sheet": found.sheet, "row": heading.row, "texts": heading.texts, "names": heading.names})
    unseen: list[int] = []
    hollow: list[int] = []
    for number, line in filled_rows(found, wanted, sys.maxsize, hollow):
        _check_texts(number, line)
        if number in hidden and len(unseen) < MOST_NAMED:
            unseen.append(number)
        yield _packed([number, *line])
    yield _packed({"hidden": unseen, "hollow": hollow[:MOST_NAMED]})


def _lines(rows: Iterable[Line], most_bytes: int) -> Iterable[tuple[int, bytes]]:
    cells = size = 0
    for number, line in rows:
        _check_texts(number, line)
        end = next((index for index in range(len(line), 0, -1) if line[index - 1] != ""), 0)
        packed = _packed([number, *line[:end]])
        cells, size = cells + end, size + len(packed)
        if cells > MAX_CELLS or size > most_bytes:
            raise NotAccepted(TOO_MUCH)
        yield number, packed


def _packed(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass") + b"\n"


def _check_texts(number: int, line: Iterable[object]) -> None:
    for index, cell in enumerate(line):
        if isinstance(cell, str) and len(cell) > MAX_TEXT:
            raise NotAccepted(LONG_TEXT, row=number, column=index + 1, most=MAX_TEXT)
