"""Read tables from CSV and XLSX, and write them. A file is read as a whole or refused with its errors by row."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from sifilma.documents import reader_refusals as reasons
from sifilma.documents.cells import wrong_with
from sifilma.documents.reading import read_in_child
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import Text, joined, say

CSV_TYPE = "text/csv"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PART = 64 * 1024  # bytes written at a time
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00", "＝", "＋", "－", "＠")  # with the full-width forms (ASVS 5.0, 1.2.10)
MAX_ANSWER = 8 * 1024 * 1024
"""Bytes of all rows of a file as JSON: 10,000 rows of 800 bytes."""
EXACT = 10**15  # up to here a float holds every integer; spreadsheets keep 15 digits

Cell = str | float | int | bool


@dataclass(frozen=True)
class Row:
    """One row: its number in the file (the header is row 1), and its cells as text by column name."""

    number: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Sheet:
    """A table with the media type of its file."""

    media_type: str
    rows: list[Row]


@dataclass(frozen=True)
class RowError:
    """The fault of one cell, in words."""

    row: int
    column: str
    message: str

    def as_dict(self) -> dict[str, object]:
        """Return the fault in the shape of problem documents."""
        return {"row": self.row, "field": self.column, "message": self.message}


def read(data: bytes, *, required: Sequence[str], optional: Sequence[str] = (), max_rows: int = 1000, field: str = "batch") -> Sheet:
    """Return the table of a CSV or XLSX file (its first sheet). Raise Invalid if it cannot be read, with an error per damaged cell.

    The first row names the columns, in any order. Blank rows are skipped, but count in the row numbers.
    """
    # The content decides: name and media type are only the client's word.
    is_xlsx = data.startswith(b"PK\x03\x04")
    most = 2 * max_rows + 2  # leaves room for blank rows in between, but not without end
    lines = _lines(data, "xlsx" if is_xlsx else "csv", most + 1, field)
    if not lines:
        raise Invalid.field(field, "The file is empty.")
    header = [str(cell).strip().lower() for cell in lines[0]]
    _check_header(header, required, optional, field)
    filled = [(number, line) for number, line in enumerate(lines[1:], start=2) if any(str(cell).strip() for cell in line)]
    if not filled:
        raise Invalid.field(field, "The file has a header but no rows.")
    if len(filled) > max_rows or len(lines) > most:
        raise Invalid.field(field, say("The file has too many rows; at most %(most)s are accepted.", most=max_rows))
    return Sheet(XLSX_TYPE if is_xlsx else CSV_TYPE, _rows(header, filled))


def _check_header(header: list[str], required: Sequence[str], optional: Sequence[str], field: str) -> None:
    missing = [name for name in required if name not in header]
    unknown = [name[:40] for name in header if name and name not in (*required, *optional)][:10]
    twice = sorted({name for name in header if name and header.count(name) > 1})[:10]
    if missing or unknown or twice:
        words = [say("missing columns: %(names)s", names=", ".join(missing))] if missing else []
        words += [say("unknown columns: %(names)s", names=", ".join(unknown))] if unknown else []
        words += [say("columns given twice: %(names)s", names=", ".join(twice))] if twice else []
        raise Invalid.field(field, say("The first row must name the columns (%(words)s).", words=joined("; ", words)))


def _rows(header: list[str], lines: list[tuple[int, Sequence[Cell]]]) -> list[Row]:
    """Return the rows. Raise Invalid with every cell that cannot be taken as it is, and every value in a column without a name."""
    rows: list[Row] = []
    errors: list[RowError] = []
    for number, line in lines:
        cells = dict.fromkeys(filter(None, header), "")
        for index, cell in enumerate(line):
            name = header[index] if index < len(header) else ""
            if isinstance(cell, float) and abs(cell) >= EXACT:
                errors.append(RowError(number, name, "A long number was kept as a number and has lost digits: format the column as text."))
            elif name:
                cells[name] = _text(cell)
                if told := wrong_with(cells[name]):
                    errors.append(RowError(number, name, told))
            elif str(cell).strip():
                told = say("Column %(column)s holds a value but has no name in the first row.", column=index + 1)
                errors.append(RowError(number, "", told))
        rows.append(Row(number, cells))
    if errors:
        raise Invalid("Some cells of the file cannot be read.", errors=[error.as_dict() for error in errors])
    return rows


def _text(cell: Cell) -> str:
    """Return a cell as text. Spreadsheets store 1 as `1.0`. The quote that `write_csv` puts before a formula is removed."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    text = str(cell).strip()
    return text[1:] if text.startswith("'") and _looks_like_formula(text[1:]) else text


def _lines(data: bytes, kind: str, most: int, field: str) -> list[Sequence[Cell]]:
    """Return the first `most` rows, read by a child process. Raise Invalid, with the field, for what it refuses."""
    try:
        answer = read_in_child(kind, data, most, MAX_ANSWER, most=MAX_ANSWER)
    except reasons.NotAccepted as refused:
        raise Invalid.field(field, _refusal(kind.upper(), refused)) from refused
    return [json.loads(line) for line in io.BytesIO(answer)]


def _refusal(kind: str, refused: reasons.NotAccepted) -> Text:
    row, column, most, words = (refused.facts.get(name, "") for name in ("row", "column", "most", "words"))
    return {
        reasons.TOO_LONG: say("The %(kind)s file takes too long to read.", kind=kind),
        reasons.TOO_MUCH: say("The %(kind)s file cannot be read: it holds too much.", kind=kind),
        reasons.BROKEN: say("The %(kind)s file cannot be read.", kind=kind),
        reasons.SYNTAX: say("The CSV file cannot be read: %(reason)s.", reason=words),
        reasons.NOT_A_TABLE: say("This is neither a CSV nor an XLSX file."),
        reasons.TOO_WIDE: say("The %(kind)s file has more than %(most)s columns.", kind=kind, most=most),
        reasons.LONG_TEXT: say(
            "The text in row %(row)s, column %(column)s is longer than %(most)s characters.", row=row, column=column, most=most
        ),
        reasons.UNPACKED: say("The XLSX file unpacks to an unreasonable size."),
        reasons.DAMAGED: say("The XLSX file is damaged or encrypted."),
        reasons.ENTITIES: say("The XLSX file declares entities; save it anew from a spreadsheet program."),
    }[refused.reason]


def write_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a CSV file as `csv_parts` makes it."""
    return b"".join(csv_parts(header, rows))


def csv_parts(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Generator[bytes, None, None]:
    """Yield a CSV file (UTF-8 with BOM, which spreadsheets need) in parts of about PART, as the rows come.

    No text in it works as a formula; `read` restores all texts.
    """
    out = io.StringIO(newline="")
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow(header)
    for row in rows:
        writer.writerow([_defused(cell) for cell in row])
        if out.tell() >= PART:
            yield out.getvalue().encode()
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode()


def _defused(cell: object) -> str:
    """Return a number as it is (a negative latitude is no formula), and a text that could be a formula with a quote in front."""
    if isinstance(cell, int | float):
        return str(cell)
    text = "" if cell is None else str(cell)
    return f"'{text}" if _looks_like_formula(text) else text


def _looks_like_formula(text: str) -> bool:
    return text.lstrip("'").startswith(FORMULA)


def write_xlsx(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return an XLSX file as `xlsx_parts` makes it."""
    return b"".join(xlsx_parts(header, rows))


def xlsx_parts(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Generator[bytes, None, None]:
    """Yield an XLSX file in parts of PART. It is complete, in a temporary folder, before its first part: a ZIP archive ends with its index.

    Numbers that keep all their digits are numbers, everything else is text, and nothing is a formula.
    """
    with tempfile.TemporaryDirectory(prefix="sifilma-") as folder:
        path = Path(folder) / "table.xlsx"
        _write_book(path, chain([header], rows))
        with path.open("rb") as file:
            while part := file.read(PART):
                yield part


def _write_book(path: Path, lines: Iterable[Sequence[object]]) -> None:
    """Write the lines to a workbook, one line in memory at a time; XlsxWriter keeps those before it in a file beside the workbook."""
    import xlsxwriter  # noqa: PLC0415  # 14 MB that a process does not need before its first export

    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(str(path), options | {"constant_memory": True, "tmpdir": str(path.parent)}) as book:
        sheet = book.add_worksheet()
        sheet.freeze_panes(1, 0)
        for index, line in enumerate(lines):
            for column, cell in enumerate(line):
                if isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) < EXACT:
                    sheet.write_number(index, column, cell)
                else:
                    sheet.write_string(index, column, "" if cell is None else str(cell))
