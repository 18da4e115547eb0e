"""Read tables from CSV and XLSX, and write them. A file is read as a whole or refused with its errors by row."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

from sifilma.documents.cells import wrong_with
from sifilma.documents.xlsx_child import TOO_WIDE
from sifilma.kernel import deadline
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import joined, say

CSV_TYPE = "text/csv"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_UNPACKED = 64 * 1024 * 1024  # bytes, over all entries of the archive
MAX_ENTRIES = 200
PIECE = 1024 * 1024  # bytes unpacked at a time
MAX_COLUMNS = 100
CHILD = Path(__file__).with_name("xlsx_child.py")
CHILD_SECONDS = 30  # of time, outside a request
ANSWER_SECONDS = 1.0
"""Seconds of a request's deadline that are kept for the answer about its file."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00", "＝", "＋", "－", "＠")  # with the full-width forms (ASVS 5.0, 1.2.10)
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
    lines = _xlsx_lines(data, field, most + 1) if is_xlsx else _csv_lines(data, field, most + 1)
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
    twice = sorted({name for name in header if name and header.count(name) > 1})[:10] if len(header) <= MAX_COLUMNS else []
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


def _csv_lines(data: bytes, field: str, most: int) -> list[Sequence[Cell]]:
    """Read UTF-8, else Windows-1252, with comma or semicolon, whichever is more frequent in the first line.

    Spreadsheet programs with Indonesian settings write semicolons, and older ones Windows-1252.
    """
    try:
        text = _decoded(data)
        first = text.split("\n", 1)[0]
        delimiter = ";" if first.count(";") > first.count(",") else ","
        return list(islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), most))
    except UnicodeDecodeError as binary:
        raise Invalid.field(field, "This is neither a CSV nor an XLSX file.") from binary
    except csv.Error as broken:
        raise Invalid.field(field, say("The CSV file cannot be read: %(reason)s.", reason=broken)) from broken


def _decoded(data: bytes) -> str:
    # UTF-16 and binary files hold NUL bytes. Windows-1252 would decode them to nonsense without an error.
    if b"\x00" in data:
        raise UnicodeDecodeError("utf-8", data[:16], 0, 1, "a NUL byte")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def _xlsx_lines(data: bytes, field: str, most: int) -> list[Sequence[Cell]]:
    """Return the rows, read by a child process with little memory (see `xlsx_child`), in about 40 ms.

    The child's environment is empty: the parent's may hold secrets.
    """
    _check_zip(data, field)
    # -I: neither the environment nor the working folder can put modules of their own in place of Python's.
    command = [sys.executable, "-I", str(CHILD), str(most), str(MAX_COLUMNS)]
    try:
        child = subprocess.run(command, input=data, capture_output=True, env={}, timeout=_patience(), check=False)  # noqa: S603
    except subprocess.TimeoutExpired as endless:
        raise Invalid.field(field, "The XLSX file takes too long to read.") from endless
    if child.returncode == TOO_WIDE:
        raise Invalid.field(field, say("The XLSX file has more than %(most)s columns.", most=MAX_COLUMNS))
    if child.returncode != 0:
        raise Invalid.field(field, "The XLSX file cannot be read.")
    lines: list[Sequence[Cell]] = json.loads(child.stdout)
    return lines


def _patience() -> float:
    """Return the seconds that reading a file may take: not longer than the request it came with."""
    left = deadline.remaining()
    return CHILD_SECONDS if left is None else min(CHILD_SECONDS, max(0.0, left - ANSWER_SECONDS))


def _check_zip(data: bytes, field: str) -> None:
    """Refuse archives that unpack to too much before anything unpacks them, and entries that declare entities.

    An archive may not have overlapping entries (CVE-2024-0450), too many, too large ones, or other compressions than deflate.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
            overlap = any(a.header_offset + a.compress_size > b.header_offset for a, b in pairwise(entries))
            packed = any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries)
            if overlap or packed or len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
                raise Invalid.field(field, "The XLSX file unpacks to an unreasonable size.")
            for entry in entries:
                _check_entry(archive, entry, field)
    # RuntimeError is how zipfile reports an encrypted entry.
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as broken:
        raise Invalid.field(field, "The XLSX file is damaged or encrypted.") from broken


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, field: str) -> None:
    """Unpack an entry piece by piece, up to its declared size, and refuse a document type anywhere in it (XML entities)."""
    size, tail = 0, b""
    with archive.open(entry) as handle:
        while piece := handle.read(PIECE):
            size += len(piece)
            if size > entry.file_size:
                raise Invalid.field(field, "The XLSX file unpacks to an unreasonable size.")
            if b"<!DOCTYPE" in tail + piece or b"<!ENTITY" in tail + piece:
                raise Invalid.field(field, "The XLSX file declares entities; save it anew from a spreadsheet program.")
            tail = piece[-16:]  # a keyword may lie across two pieces


def write_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a CSV file (UTF-8 with BOM, which spreadsheets need). No text in it works as a formula; `read` restores all texts."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(header)
    for row in rows:
        writer.writerow([_defused(cell) for cell in row])
    return out.getvalue().encode("utf-8-sig")


def _defused(cell: object) -> str:
    """Return a number as it is (a negative latitude is no formula), and a text that could be a formula with a quote in front."""
    if isinstance(cell, int | float):
        return str(cell)
    text = "" if cell is None else str(cell)
    return f"'{text}" if _looks_like_formula(text) else text


def _looks_like_formula(text: str) -> bool:
    return text.lstrip("'").startswith(FORMULA)


def write_xlsx(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return an XLSX file. Numbers that keep all their digits are numbers, everything else is text, and nothing is a formula."""
    import xlsxwriter  # noqa: PLC0415  # 14 MB that a process does not need before its first export

    out = io.BytesIO()
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": True}
    with xlsxwriter.Workbook(out, options) as book:
        sheet = book.add_worksheet()
        for index, line in enumerate([header, *rows]):
            for column, cell in enumerate(line):
                if isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) < EXACT:
                    sheet.write_number(index, column, cell)
                else:
                    sheet.write_string(index, column, "" if cell is None else str(cell))
        sheet.freeze_panes(1, 0)
    return out.getvalue()
