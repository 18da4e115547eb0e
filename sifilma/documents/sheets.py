"""Tables from CSV and XLSX, and back: read whole or refused, errors by row."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import xlsxwriter
from python_calamine import CalamineError, CalamineWorkbook

from sifilma.kernel.errors import Invalid

CSV_TYPE = "text/csv"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_UNPACKED = 64 * 1024 * 1024
MAX_ENTRIES = 200
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Row:
    """One row: its number in the file (the header is row 1) and its cells as text, by column name."""

    number: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Sheet:
    """A table with its media type."""

    media_type: str
    rows: list[Row]


@dataclass(frozen=True)
class RowError:
    """What is wrong in one cell, in words."""

    row: int
    column: str
    message: str

    def as_dict(self) -> dict[str, object]:
        """The shape problem documents use."""
        return {"row": self.row, "field": self.column, "message": self.message}


def read(data: bytes, *, required: Sequence[str], optional: Sequence[str] = (), max_rows: int = 1000, field: str = "batch") -> Sheet:
    """The table of a CSV or XLSX file. Invalid (with the column names that are wrong) when it cannot be read as a whole."""
    is_xlsx = data.startswith(b"PK\x03\x04")
    lines = _xlsx_lines(data, field, max_rows) if is_xlsx else _csv_lines(data, field)
    if not lines:
        raise Invalid.field(field, "The file is empty.")
    header = [cell.strip().lower() for cell in lines[0]]
    _check_header(header, required, optional, field)
    rows = [
        Row(number, dict(zip(header, (cell.strip() for cell in [*line, *[""] * len(header)]), strict=False)))
        for number, line in enumerate(lines[1:], start=2)
        if any(cell.strip() for cell in line)
    ]
    if not rows:
        raise Invalid.field(field, "The file has a header but no rows.")
    if len(rows) > max_rows:
        raise Invalid.field(field, f"The file has {len(rows)} rows; at most {max_rows} are accepted.")
    return Sheet(XLSX_TYPE if is_xlsx else CSV_TYPE, rows)


def _check_header(header: list[str], required: Sequence[str], optional: Sequence[str], field: str) -> None:
    missing = [name for name in required if name not in header]
    unknown = [name for name in header if name and name not in (*required, *optional)]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if missing or unknown or twice:
        words = [f"missing columns: {', '.join(missing)}"] if missing else []
        words += [f"unknown columns: {', '.join(unknown)}"] if unknown else []
        words += [f"columns given twice: {', '.join(twice)}"] if twice else []
        raise Invalid.field(field, f"The first row must name the columns ({'; '.join(words)}).")


def _csv_lines(data: bytes, field: str) -> list[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if "\x00" in text:
        raise Invalid.field(field, "This is neither a CSV nor an XLSX file.")
    first = text.split("\n", 1)[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as broken:
        raise Invalid.field(field, f"The CSV file cannot be read: {broken}.") from broken


def _xlsx_lines(data: bytes, field: str, max_rows: int) -> list[list[str]]:
    _check_zip(data, field)
    try:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0)
        values = sheet.to_python(skip_empty_area=False, nrows=max_rows * 2 + 2)
    except (CalamineError, IndexError, ValueError) as broken:
        raise Invalid.field(field, "The XLSX file cannot be read.") from broken
    return [[_cell_text(cell, row, field) for cell in line] for row, line in enumerate(values, start=1)]


def _check_zip(data: bytes, field: str) -> None:
    """Refuse bombs before unpacking: entries that overlap (CVE-2024-0450), too many, too large, entity declarations."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
            overlap = any(a.header_offset + a.compress_size > b.header_offset for a, b in zip(entries, entries[1:], strict=False))
            if overlap or len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
                raise Invalid.field(field, "The XLSX file unpacks to an unreasonable size.")
            left = MAX_UNPACKED
            for entry in entries:
                with archive.open(entry) as handle:
                    body = handle.read(left + 1)
                left -= len(body)
                if left < 0 or b"<!DOCTYPE" in body[:4096] or b"<!ENTITY" in body[:4096]:
                    raise Invalid.field(field, "The XLSX file unpacks to an unreasonable size or declares entities.")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as broken:
        raise Invalid.field(field, "The XLSX file is damaged or encrypted.") from broken


def _cell_text(cell: object, row: int, field: str) -> str:
    """A cell as text. Spreadsheets keep numbers as floats: beyond 15 digits they have been damaged already."""
    if isinstance(cell, float):
        if abs(cell) >= 1e15:
            message = "A long number was stored as a number and has lost digits. Format the column as text."
            raise Invalid(message, errors=[{"row": row, "field": field, "message": message}])
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    return str(cell)


def write_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV file (UTF-8 with BOM) whose cells no spreadsheet takes for formulas."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(header)
    for row in rows:
        writer.writerow([_defused(cell) for cell in row])
    return out.getvalue().encode("utf-8-sig")


def _defused(cell: object) -> str:
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(FORMULA) else text


def write_xlsx(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """An XLSX file, every cell as text."""
    out = io.BytesIO()
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": True}
    with xlsxwriter.Workbook(out, options) as book:
        sheet = book.add_worksheet()
        for index, line in enumerate([header, *rows]):
            for column, cell in enumerate(line):
                sheet.write_string(index, column, "" if cell is None else str(cell))
    return out.getvalue()
