"""Show lists on pages: filtered, paged at constant cost, and exported in the same filter and order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Response, g, make_response, render_template, request
from flask_babel import format_decimal, gettext, ngettext
from sqlalchemy.orm import InstrumentedAttribute

from sifilma.documents.responses import attachment
from sifilma.documents.sheets import write_csv, write_xlsx
from sifilma.kernel import paging
from sifilma.kernel.errors import Invalid, NotFound
from sifilma.kernel.paging import NEWEST_FIRST, OLDEST_FIRST, Listing, Order
from sifilma.web.forms import Form
from sifilma.web.requests import context

ROWS_A_PAGE = 25
MOST_EXPORTED = 100_000  # rows: an export is built in memory
AGES = (1, 3, 7, 14, 30)  # days
WRITERS = {
    "csv": (write_csv, "text/csv; charset=utf-8"),
    "xlsx": (write_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}
Show = Callable[[list[Any]], Iterable[Any]]
Columns = Mapping[str, tuple[object, InstrumentedAttribute[Any]]]
"""The orders of a list besides its age: a name for URLs, the words of the column's heading, and the column."""
AGE, DOWNWARDS = "usia", "-"


@dataclass(frozen=True)
class Export:
    """A list as a file: its name, a function per column that gives an item's cell, the greatest number of rows, and the list's orders."""

    name: str
    columns: Mapping[str, Callable[[Any], object]]
    most: int = MOST_EXPORTED
    orders: Columns = field(default_factory=dict)


def answer(template: str, listing: Listing[Any], show: Show, export: Export, *, oldest_first: bool = False, **values: Any) -> Response:
    """Return one page of a list as HTML, or the whole list as a file with `?unduh=csv|xlsx`.

    `?urut=NAME` or `-NAME` chooses the order, for both. A file that ends before the list does says so in its last row. The template gets
    `items` and `next`. Raise Invalid for an unknown order or format.
    """
    choices = _orders(export.orders, OLDEST_FIRST if oldest_first else NEWEST_FIRST)
    chosen = request.args.get("urut", "")
    if chosen not in choices:
        raise Invalid.field("urut", "This list has no such order.")
    order, wanted = choices[chosen][1], request.args.get("unduh")
    if wanted:
        return _file(wanted, listing, show, export, order)
    g.orders = [(name, words, name == chosen) for name, (words, _order) in choices.items()]
    found = paging.page(context().session, *listing, limit=ROWS_A_PAGE, cursor=request.args.get("cursor"), order=order)
    return make_response(render_template(template, items=list(show(found.items)), next=found.next, **values))


def orders() -> list[tuple[str, str, bool]]:
    """Return the orders of this page's list: name, words, and whether it is the present one. For the macro of filters."""
    found: list[tuple[str, str, bool]] = g.get("orders", [])  # set by `answer`
    return found


def _orders(columns: Columns, usual: Order) -> dict[str, tuple[str, Order]]:
    """Return the orders by their names in URLs. The usual order has the empty name."""
    newest, oldest = (gettext("Newest first"), NEWEST_FIRST), (gettext("Oldest first"), OLDEST_FIRST)
    found = {"": oldest, DOWNWARDS + AGE: newest} if usual is OLDEST_FIRST else {"": newest, AGE: oldest}
    for name, (words, column) in columns.items():
        found[name] = gettext("%(column)s, ascending", column=words), Order(column, upwards=True)
        found[DOWNWARDS + name] = gettext("%(column)s, descending", column=words), Order(column)
    return found


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


def _file(wanted: str, listing: Listing[Any], show: Show, export: Export, order: Order) -> Response:
    if wanted not in WRITERS:
        raise Invalid.field("unduh", "A list is had as csv or xlsx.")
    header = [str(name) for name in export.columns]
    return table(wanted, export.name, header, _lines(listing, show, export, order))


def _lines(listing: Listing[Any], show: Show, export: Export, order: Order) -> Iterator[list[object]]:
    """Yield the rows page by page. The writer holds the whole file in memory, so the number of rows is limited."""
    query, key = listing
    cursor, left = None, export.most
    while left > 0:
        limit = min(paging.MAX_LIMIT, left)
        found = paging.page(context().session, query, key, limit=limit, cursor=cursor, order=order)
        for item in show(found.items):
            yield [column(item) for column in export.columns.values()]
        left, cursor = left - len(found.items), found.next
        if cursor is None:
            return
    told = gettext("The list goes on: only its first %(most)s rows are here. Narrow it by its filters.", most=format_decimal(export.most))
    yield [told]
