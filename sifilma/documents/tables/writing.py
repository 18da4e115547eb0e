"""Write tables as CSV and XLSX. No text in them works as a formula."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from sifilma.documents.tables.cells import looks_like_formula

PART = 64 * 1024  # bytes written at a time
EXACT = 10**15  # up to here a float holds every integer; spreadsheets keep 15 digits
PLAIN = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
_NO_NAME = re.compile(r"[\[\]:*?/\\]|^'|'$")


def write_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a CSV file as `csv_parts` makes it."""
    return b"".join(csv_parts(header, rows))


def csv_parts(header: Sequence[str], rows: Iterable[Sequence[object]], _title: str = "") -> Generator[bytes, None, None]:
    """Yield a CSV file (UTF-8 with BOM, which spreadsheets need) in parts of about PART, as the rows come.

    No text in it works as a formula; `read` restores all texts.
    """
    out = io.StringIO(newline="")
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow(header)
    for row in rows:
        writer.writerow([defused(cell) for cell in row])
        if out.tell() >= PART:
            yield out.getvalue().encode()
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode()


def csv_lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as they stand in such a file, without its beginning."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([defused(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def defused(cell: object) -> str:
    """Return a number as it is (a negative latitude is no formula), and a text that could be a formula with a quote in front."""
    if isinstance(cell, int | float):
        return str(cell)
    text = "" if cell is None else str(cell)
    return f"'{text}" if looks_like_formula(text) else text


def write_xlsx(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return an XLSX file as `xlsx_parts` makes it."""
    return b"".join(xlsx_parts(header, rows))


def xlsx_parts(header: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> Generator[bytes, None, None]:
    """Yield an XLSX file in parts of PART. It is complete, in a temporary folder, before its first part: a ZIP archive ends with its index.

    Numbers that keep all their digits are numbers, everything else is text, and nothing is a formula. `title` is the sheet's name.
    """
    yield from book_parts(lambda book: _write(book, chain([header], rows), title))


def book_parts(write: Callable[[Any], None]) -> Generator[bytes, None, None]:
    """Yield a workbook that `write` fills, row by row, in parts as `xlsx_parts` does.

    One line is in memory at a time; XlsxWriter keeps those before it in a file beside the workbook. A text stays a text.
    """
    import xlsxwriter  # noqa: PLC0415  # 14 MB that a process does not need before its first export

    with tempfile.TemporaryDirectory(prefix="sifilma-") as folder:
        path = Path(folder) / "table.xlsx"
        with xlsxwriter.Workbook(str(path), PLAIN | {"constant_memory": True, "tmpdir": folder}) as book:
            write(book)
        with path.open("rb") as file:
            while part := file.read(PART):
                yield part


def sheet_name(title: str) -> str:
    """Return a title as a sheet may be named."""
    return _NO_NAME.sub("-", title)[:31]


def _write(book: Any, lines: Iterable[Sequence[object]], title: str) -> None:
    sheet = book.add_worksheet(sheet_name(title) or None)
    sheet.freeze_panes(1, 0)
    for index, line in enumerate(lines):
        for column, cell in enumerate(line):
            if isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) < EXACT:
                sheet.write_number(index, column, cell)
            else:
                sheet.write_string(index, column, "" if cell is None else str(cell))
