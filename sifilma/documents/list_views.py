"""Show lists on pages: filtered, paged at constant cost, and exported in the same filter and order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from flask import Response, g, make_response, render_template, request
from flask_babel import format_decimal, gettext

from sifilma.documents.lists import WRITERS, Columns, Export, long_table
from sifilma.kernel import paging
from sifilma.kernel.deadline import Allowance
from sifilma.kernel.errors import Invalid, Unavailable
from sifilma.kernel.paging import NEWEST_FIRST, OLDEST_FIRST, Listing, Order
from sifilma.resources import resources
from sifilma.web.requests import context
from sifilma.web.streams import RETRY_AFTER, place

ROWS_A_PAGE = 25
Show = Callable[[list[Any]], Iterable[Any]]
AGE, DOWNWARDS = "usia", "-"


def answer(template: str, listing: Listing[Any], show: Show, export: Export, *, oldest_first: bool = False, **values: Any) -> Response:
    """Return one page of a list as HTML, or the whole list as a file with `?unduh=csv|xlsx`.

    `?urut=NAME` or `-NAME` chooses the order, for both. A file that ends before the list does says so in its last row. The template gets
    `items` and `next`. Raise Invalid for an unknown order or format.
    """
    choices, chosen = _chosen(export, OLDEST_FIRST if oldest_first else NEWEST_FIRST)
    order, wanted = choices[chosen][1], request.args.get("unduh")
    if wanted:
        return _file(wanted, listing, show, export, order)
    g.orders = [(name, words, name == chosen) for name, (words, _order) in choices.items()]
    found = paging.page(context().session, *listing, limit=ROWS_A_PAGE, cursor=request.args.get("cursor"), order=order)
    return make_response(render_template(template, items=list(show(found.items)), next=found.next, **values))


def first(listing: Listing[Any], export: Export, most: int) -> list[Any]:
    """Return the first `most` rows of a list, in the order that the URL names. Raise Invalid for an unknown order."""
    choices, chosen = _chosen(export, NEWEST_FIRST)
    return paging.first(context().session, listing, choices[chosen][1], most)


def _chosen(export: Export, usual: Order) -> tuple[dict[str, tuple[str, Order]], str]:
    choices, chosen = _orders(export.orders, usual), request.args.get("urut", "")
    if chosen not in choices:
        raise Invalid.field("urut", "This list has no such order.")
    return choices, chosen


def orders() -> list[tuple[str, str, bool]]:
    """Return the orders of this page's list: name, words, and whether it is the present one. For the macro of filters."""
    found: list[tuple[str, str, bool]] = g.get("orders", [])  # what `answer` left there
    return found


def _orders(columns: Columns, usual: Order) -> dict[str, tuple[str, Order]]:
    """Return the orders by their names in URLs. The usual order has the empty name."""
    newest, oldest = (gettext("Newest first"), NEWEST_FIRST), (gettext("Oldest first"), OLDEST_FIRST)
    found = {"": oldest, DOWNWARDS + AGE: newest} if usual is OLDEST_FIRST else {"": newest, AGE: oldest}
    for name, (words, column) in columns.items():
        found[name] = gettext("%(column)s, ascending", column=words), Order(column, upwards=True)
        found[DOWNWARDS + name] = gettext("%(column)s, descending", column=words), Order(column)
    return found


def _file(wanted: str, listing: Listing[Any], show: Show, export: Export, order: Order) -> Response:
    if wanted not in WRITERS:
        raise Invalid.field("unduh", "A list is had as csv or xlsx.")
    header = [str(name) for name in export.columns]
    return long_table(wanted, export.name, header, _lines(listing, show, export, order))


def _lines(listing: Listing[Any], show: Show, export: Export, order: Order) -> Iterator[list[object]]:
    """Yield the rows of one state of the database, group by group. Raise Unavailable if that takes too long."""
    unit, left = context().uow, export.most
    allowed = Allowance(export.seconds, resources().settings.request_deadline)
    with place():
        with allowed.step():
            unit.begin_snapshot()
            groups = paging.walk(unit.session, listing, order, export.most + 1)  # one more tells whether the list goes on
        try:
            while (lines := _group(groups, show, export, allowed)) is not None:
                yield from lines[:left]
                left -= len(lines)
        finally:
            with allowed.step():
                groups.close()
                unit.end_read()
    if left < 0:
        most = format_decimal(export.most)
        yield [gettext("The list goes on: only its first %(most)s rows are here. Narrow it by its filters.", most=most)]


def _group(groups: Iterator[Sequence[Any]], show: Show, export: Export, allowed: Allowance) -> list[list[object]] | None:
    """Return the next rows, None at the end. The client's reading does not count as time, for the server holds what is not read."""
    if allowed.is_over:
        raise Unavailable("The list took too long to write. Narrow it by its filters, or try again later.", retry_after=RETRY_AFTER)
    with allowed.step():
        items = next(groups, None)
        return None if items is None else [[column(item) for column in export.columns.values()] for item in show(list(items))]
