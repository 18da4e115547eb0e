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

MOST_EXPORTED = 100_000
AGES = (1, 3, 7, 14, 30)
WRITERS = {
    "csv": (write_csv, "text/csv; charset=utf-8"),
    "xlsx": (write_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}
Columns = Mapping[str, tuple[object, InstrumentedAttribute[Any]]]
"""What a list can be put in order by besides its age: a name for addresses, the words of its heading, the column."""


@dataclass(frozen=True)
class Export:
    """A list as a file: its name, what stands in each column of an item, and how many rows it has at most; and the list's orders."""

    name: str
    columns: Mapping[str, Callable[[Any], object]]
    most: int = MOST_EXPORTED
    orders: Columns = field(default_factory=dict)


def ages() -> list[tuple[str, str]]:
    """How old what is looked for is at least, as the choices of a filter."""
    return [(str(days), ngettext("%(num)s day or more", "%(num)s days or more", days)) for days in AGES]


def chosen_age(form: Form) -> int:
    """The days that were chosen, 0 if none."""
    chosen = form.get("umur")
    return int(chosen) if chosen in map(str, AGES) else 0


def table(kind: str, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """A table as a file of this kind (csv or xlsx), for instance one that is to be filled in and sent back."""
    if kind not in WRITERS:
        raise NotFound()
    write, media_type = WRITERS[kind]
    return attachment(write(header, rows), media_type, f"{name}.{kind}")
