"""Read a CSV file in the child process."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from sifilma.documents.reader_refusals import NOT_A_TABLE, SYNTAX, TOO_WIDE, NotAccepted
from sifilma.documents.table_answer import MAX_COLUMNS, as_json


def read_csv(data: bytes, most_rows: str, most_bytes: str) -> bytes:
    """Return the first rows as `as_json` does. Raise NotAccepted for what cannot be read."""
    return as_json(_lines(data, int(most_rows)), int(most_bytes))


def _lines(data: bytes, most: int) -> Iterator[Sequence[str]]:
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
