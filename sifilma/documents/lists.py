"""Lists as files, and what their pages are filtered by; `list_views` answers with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Response
from flask_babel import ngettext
from sqlalchemy.orm import InstrumentedAttribute

from sifilma.documents.responses import attachment, streamed_attachment
from sifilma.documents.tables.sheets import CSV_TYPE, XLSX_TYPE
from sifilma.documents.tables.templates import Filled, Say, csv_table, xlsx_table
from sifilma.documents.tables.writing import csv_parts, xlsx_parts
from sifilma.kernel.errors import NotFound
from sifilma.web.forms import Form

MOST_EXPORTED = 100_000  # rows
EXPORTED_ROWS = {"csv": 1_000_000, "xlsx": MOST_EXPORTED}
"""Rows of a list that the worker writes: a sheet of XLSX is made as a whole, in one turn."""
SECONDS = 60.0  # as long as proxies usually wait for the first byte, which an XLSX sends when all its rows are written
AGES = (1, 3, 7, 14, 30)  # days
WRITERS = {
    "csv": (csv_parts, f"{CSV_TYPE}; charset=utf-8"),
    "xlsx": (xlsx_parts, XLSX_TYPE),
}
FORMS = {"csv": csv_table, "xlsx": xlsx_table}
Counted = Callable[[int, str], str]
"""How many rows a list has, in words: from the number, which chooses singular or plural, and the number in words."""
Columns = Mapping[str, tuple[object, InstrumentedAttribute[Any]]]
"""The orders of a list besides its age: a name for URLs, the words of the column's heading, and the column."""


@dataclass(frozen=True)
class Export:
    """A list as a file: its name, a function per column that gives an item's cell, and the list's orders.

    `most` is the greatest number of rows; `seconds` is how long reading them may take. `counted` says how many rows there are.

    `filters` are the names in URLs of what the list is filtered by, each with its usual value, which counts as no filter.
    """

    name: str
    columns: Mapping[str, Callable[[Any], object]]
    most: int = MOST_EXPORTED
    orders: Columns = field(default_factory=dict)
    seconds: float = SECONDS
    counted: Counted = field(kw_only=True)
    filters: Mapping[str, str] = field(default_factory=dict)


def ages() -> list[tuple[str, str]]:
    """Return the choices of the filter by age: at least this many days old."""
    return [(str(days), ngettext("%(num)s day or more", "%(num)s days or more", days)) for days in AGES]


def chosen_age(form: Form) -> int:
    """Return the chosen number of days, 0 if none is chosen."""
    chosen = form.get("umur")
    return int(chosen) if chosen in map(str, AGES) else 0


def table(kind: str, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Return a table as a file of this kind (csv or xlsx). Raise NotFound for others.

    The rows are few (at most as many as an uploaded file may have): the file is made at once, while the request's transaction lasts.
    """
    if kind not in WRITERS:
        raise NotFound()
    write, media_type = WRITERS[kind]
    return attachment(b"".join(write(header, rows, name)), media_type, f"{name}.{kind}")


def form_table(kind: str, name: str, filled: Filled, say: Say | None) -> Response:
    """Return a table to be filled in or corrected, and sent back, as a file of this kind. Raise NotFound for others.

    `say` translates its headings and its choices; without it they have their names in the API.
    """
    if kind not in FORMS:
        raise NotFound()
    return attachment(FORMS[kind](filled, say), WRITERS[kind][1], f"{name}.{kind}")


def long_table(kind: str, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Return a table of any length as a file of this kind (a key of WRITERS). Its rows are read after the request's commit."""
    write, media_type = WRITERS[kind]
    return streamed_attachment(write(header, rows, name), media_type, f"{name}.{kind}")
