"""Lists as files, and what their pages are filtered by; `list_views` answers with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Response
from flask_babel import ngettext
from sqlalchemy.orm import InstrumentedAttribute

from sifilma.documents.responses import attachment
from sifilma.documents.sheets import write_csv, write_xlsx
from sifilma.kernel.errors import NotFound
from sifilma.web.forms import Form

MOST_EXPORTED = 100_000  # rows: an export is built in memory
AGES = (1, 3, 7, 14, 30)  # days
WRITERS = {
    "csv": (write_csv, "text/csv; charset=utf-8"),
    "xlsx": (write_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}
Columns = Mapping[str, tuple[object, InstrumentedAttribute[Any]]]
"""The orders of a list besides its age: a name for URLs, the words of the column's heading, and the column."""


@dataclass(frozen=True)
class Export:
    """A list as a file: its name, a function per column that gives an item's cell, the greatest number of rows, and the list's orders."""

    name: str
    columns: Mapping[str, Callable[[Any], object]]
    most: int = MOST_EXPORTED
    orders: Columns = field(default_factory=dict)


def ages() -> list[tuple[str, str]]:
    """Return the choices of the filter by age: at least this many days old."""
    return [(str(days), ngettext("%(num)s day or more", "%(num)s days or more", days)) for days in AGES]


def chosen_age(form: Form) -> int:
    """Return the chosen number of days, 0 if none is chosen."""
    chosen = form.get("umur")
    return int(chosen) if chosen in map(str, AGES) else 0


def table(kind: str, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """Return a table as a file of this kind (csv or xlsx), such as a form to be filled in and sent back. Raise NotFound for others."""
    if kind not in WRITERS:
        raise NotFound()
    write, media_type = WRITERS[kind]
    return attachment(write(header, rows), media_type, f"{name}.{kind}")
