"""Read a CSV file in the child process."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator

from sifilma.documents.reader_refusals import NOT_A_TABLE, SYNTAX, TOO_WIDE, NotAccepted
from sifilma.documents.tables.answer import MAX_COLUMNS, answer_of, stream_of
from sifilma.documents.tables.headings import Candidate, Line, Wanted, chosen, look, text_of

DELIMITERS = ",;\t"
NOT_TEXT = re.compile(r"\s*(?:%PDF|<(?:!doctype|html|\?xml|table))", re.IGNORECASE)
"""How files of other kinds begin. A download that failed is often a page; some programs call a page a spreadsheet."""
START = 4096
"""Characters by which the kind of a file is told."""
WIDEST = 16_384
"""Columns of a spreadsheet. A row may have as many; beyond MAX_COLUMNS they must be blank."""
_NAMED_DELIMITER = re.compile(r'"?sep=([,;\t])"?\r?\n')
_TYPED_AS_TEXT = re.compile(r'="([^"]*)"')


def read_csv(data: bytes, most_rows: str, most_bytes: str, packed: str) -> bytes:
    """Return the rows as `answer_of` does. Raise NotAccepted for what cannot be read."""
    wanted = Wanted.of(packed)
    return answer_of(_found(_text(data), wanted), wanted, int(most_rows), int(most_bytes))


def stream_csv(data: bytes, packed: str) -> Iterator[bytes]:
    """Yield the rows as `stream_of` does. Raise NotAccepted for what cannot be read."""
    wanted = Wanted.of(packed)
    return stream_of(_found(_text(data), wanted), wanted)


def _text(data: bytes) -> str:
    """Return the text without byte order marks before it, and without blank lines and the Ctrl-Z of old programs after it."""
    try:
        text = _decoded(data).lstrip("\ufeff")
    except UnicodeDecodeError as binary:
        raise NotAccepted(NOT_A_TABLE) from binary
    if NOT_TEXT.match(text):
        raise NotAccepted(NOT_A_TABLE)
    return text.rstrip(" \t\r\n\x1a")


def _decoded(data: bytes) -> str:
    """Return the text of UTF-8, UTF-16 (Excel's "Unicode text"), UTF-32 or, for what is none of them, Windows-1252."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # the first begins like UTF-16
        return data.decode("utf-32")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    if b"\x00" in data:
        return data.decode(_utf16_without_mark(data))
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252")


def _utf16_without_mark(data: bytes) -> str:
    """Return the encoding of data with NUL bytes. Every other byte of a heading is NUL; raise UnicodeDecodeError if not."""
    start = data[:64]
    for encoding, zeros, others in (("utf-16-le", start[1::2], start[::2]), ("utf-16-be", start[::2], start[1::2])):
        if not any(zeros) and all(others):
            return encoding
    raise UnicodeDecodeError("utf-8", data[:16], 0, 1, "a NUL byte")


def _found(text: str, wanted: Wanted) -> Candidate:
    """Return the table as it is read with the delimiter that brings out most of its heading."""
    if named := _NAMED_DELIMITER.match(text):  # a line for Excel, which does not show it
        return chosen([look("", _rows(text[named.end() :], named[1]), wanted)], wanted)
    candidates: list[Candidate] = []
    refusals: list[NotAccepted] = []
    for delimiter in DELIMITERS:
        for within in (False, True) if _is_one_column(text[:START], delimiter) else (False,):
            try:
                candidates.append(look("", _rows(text, delimiter, within=within), wanted))
            except NotAccepted as refused:  # what is no table with this delimiter may be one with another
                refusals.append(refused)
    best = max(candidates, key=lambda one: (one.heading is not None, one.named), default=None)
    if best is None or (best.heading is None and refusals):
        raise refusals[0]
    return chosen([best], wanted)


def _is_one_column(start: str, delimiter: str) -> bool:
    """Return whether each line is one quoted cell: so is a table saved whose lines a spreadsheet program took for single cells."""
    lines = [line for line in start.splitlines()[:2] if line.strip()]
    return bool(lines) and all(line.startswith('"') and line.endswith('"') and line.strip('"').count(delimiter) for line in lines)


def _rows(text: str, delimiter: str, *, within: bool = False) -> Iterator[Line]:
    """Yield the rows, with their numbers. `within`: each is one cell, and holds a line of the table."""
    _check_width(text, delimiter)
    # A StringIO would hold four bytes for each character, once for each delimiter that is tried.
    lines = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8", newline="")
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, line in enumerate(reader, start=1):
            cells = next(csv.reader(line, delimiter=delimiter, strict=True)) if within and line else line
            if any(map(text_of, cells[MAX_COLUMNS:])):
                raise NotAccepted(TOO_WIDE, most=MAX_COLUMNS)
            yield number, [_plain(cell) for cell in cells[:MAX_COLUMNS]]
    except csv.Error as broken:
        raise NotAccepted(SYNTAX, row=number + 1) from broken


def _plain(cell: str) -> str:
    """Return a cell without what makes Excel take it for text: `="0012"`."""
    found = _TYPED_AS_TEXT.fullmatch(cell) if cell.startswith("=") else None
    return found[1] if found else cell


def _check_width(text: str, delimiter: str) -> None:
    """Refuse a line of too many cells before the reader makes a list of them. Quotes may hold delimiters, and are counted later."""
    if re.search(rf'^(?:[^"\r\n{delimiter}]*{delimiter}){{{WIDEST}}}', text, re.MULTILINE):
        raise NotAccepted(TOO_WIDE, most=MAX_COLUMNS)
