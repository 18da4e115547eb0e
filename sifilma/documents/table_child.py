"""Read a table in the child process: the rows of a CSV file, or of the first sheet of an XLSX file.

The answer is one line of JSON for each row. XLSX is the dangerous kind: a small file can unpack to gigabytes, name one long text in
hundreds of cells, or claim a rectangle of cells that no memory holds. What the limits below do not find, the memory of the process ends.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import islice, pairwise

from python_calamine import CalamineError, CalamineWorkbook

from sifilma.documents.reader_refusals import (
    BROKEN,
    DAMAGED,
    ENTITIES,
    LONG_TEXT,
    NOT_A_TABLE,
    SYNTAX,
    TOO_MUCH,
    TOO_WIDE,
    UNPACKED,
    NotAccepted,
)

MAX_COLUMNS = 100
MAX_CELLS = 400_000
"""Cells that hold something: 10,000 rows of 40 columns."""
MAX_TEXT = 32_767
"""Characters of a cell; a spreadsheet program takes no more."""
MAX_UNPACKED = 64 * 1024 * 1024  # bytes, over all entries of the archive
MAX_ENTRIES = 200
PIECE = 1024 * 1024  # bytes unpacked at a time

Cell = object


def read_csv(data: bytes, most_rows: str, most_bytes: str) -> bytes:
    """Return the first rows as lines of JSON, without the empty cells at their ends. Raise NotAccepted for what cannot be read."""
    return _as_json(_csv_lines(data, int(most_rows)), int(most_bytes))


def read_xlsx(data: bytes, most_rows: str, most_bytes: str) -> bytes:
    """Return the first rows of the first sheet, as `read_csv` does."""
    return _as_json(_xlsx_lines(data, int(most_rows)), int(most_bytes))


def _as_json(lines: Iterable[Sequence[Cell]], most_bytes: int) -> bytes:
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


def _check_texts(number: int, line: Sequence[Cell]) -> None:
    for index, cell in enumerate(line):
        if isinstance(cell, str) and len(cell) > MAX_TEXT:
            raise NotAccepted(LONG_TEXT, row=number, column=index + 1, most=MAX_TEXT)


def _text(cell: object) -> str:
    """Return what JSON has no form for as text: dates as in ISO 8601."""
    return cell.isoformat() if isinstance(cell, datetime | date | time) else str(cell if isinstance(cell, timedelta) else "")


# --- CSV -------------------------------------------------------------------------------------------------------------


def _csv_lines(data: bytes, most: int) -> Iterator[Sequence[Cell]]:
    """Read UTF-8, else Windows-1252, with comma or semicolon, whichever is more frequent in the first line.

    Spreadsheet programs with Indonesian settings write semicolons, and older ones Windows-1252.
    """
    try:
        text = _decoded(data)
    except UnicodeDecodeError as binary:
        raise NotAccepted(NOT_A_TABLE) from binary
    first = text[: text.find("\n") + 1] or text
    delimiter = ";" if first.count(";") > first.count(",") else ","
    _check_width(text, delimiter)
    try:
        for line in islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), most):
            if len(line) > MAX_COLUMNS:
                raise NotAccepted(TOO_WIDE, most=MAX_COLUMNS)
            yield line
    except csv.Error as broken:
        raise NotAccepted(SYNTAX, words=str(broken)) from broken


def _check_width(text: str, delimiter: str) -> None:
    """Refuse a line of too many cells before the reader makes a list of them. Quotes may hold delimiters, and are counted later."""
    if re.search(rf'^(?:[^"\r\n{delimiter}]*{delimiter}){{{MAX_COLUMNS}}}', text, re.MULTILINE):
        raise NotAccepted(TOO_WIDE, most=MAX_COLUMNS)


def _decoded(data: bytes) -> str:
    # UTF-16 and binary files hold NUL bytes. Windows-1252 would decode them to nonsense without an error.
    if b"\x00" in data:
        raise UnicodeDecodeError("utf-8", data[:16], 0, 1, "a NUL byte")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


# --- XLSX ------------------------------------------------------------------------------------------------------------


def _xlsx_lines(data: bytes, most: int) -> Sequence[Sequence[Cell]]:
    _check_zip(data)
    try:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0)
        if sheet.end is not None and sheet.end[1] >= MAX_COLUMNS:
            raise NotAccepted(TOO_WIDE, most=MAX_COLUMNS)
        return sheet.to_python(skip_empty_area=False, nrows=most)
    except CalamineError as broken:
        raise NotAccepted(BROKEN) from broken


def _check_zip(data: bytes) -> None:
    """Refuse archives that unpack to too much before the reader unpacks them, and entries that declare entities.

    An archive may not have overlapping entries (CVE-2024-0450), too many, too large ones, or other compressions than deflate.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
            overlap = any(a.header_offset + a.compress_size > b.header_offset for a, b in pairwise(entries))
            packed = any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries)
            if overlap or packed or len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
                raise NotAccepted(UNPACKED)
            for entry in entries:
                _check_entry(archive, entry)
    # RuntimeError is how zipfile reports an encrypted entry.
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as broken:
        raise NotAccepted(DAMAGED) from broken


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Unpack an entry piece by piece, up to its declared size, and refuse a document type anywhere in it (XML entities)."""
    size, tail = 0, b""
    with archive.open(entry) as handle:
        while piece := handle.read(PIECE):
            size += len(piece)
            if size > entry.file_size:
                raise NotAccepted(UNPACKED)
            if b"<!DOCTYPE" in tail + piece or b"<!ENTITY" in tail + piece:
                raise NotAccepted(ENTITIES)
            tail = piece[-16:]  # a keyword may lie across two pieces
