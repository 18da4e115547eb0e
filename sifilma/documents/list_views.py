"""Show lists on pages: counted, filtered, sorted, paged at constant cost, and exported in the same filter and order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from flask import Response, current_app, g, make_response, redirect, render_template, request
from flask_babel import format_decimal, gettext
from sqlalchemy.orm import Session

from sifilma.documents.lists import WRITERS, Columns, Export, long_table
from sifilma.identity.permissions import Operation, Scope, reach_of
from sifilma.kernel import paging
from sifilma.kernel.db import LARGEST_INTEGER
from sifilma.kernel.deadline import Allowance
from sifilma.kernel.errors import Invalid, Unavailable
from sifilma.kernel.paging import MOST_COUNTED, NEWEST_FIRST, OLDEST_FIRST, Listing, Order, Page
from sifilma.kernel.ways import is_looked_through
from sifilma.resources import resources
from sifilma.web.operations import policy_of
from sifilma.web.pages import link_to
from sifilma.web.replays import TAKER
from sifilma.web.requests import context
from sifilma.web.streams import RETRY_AFTER, place

ROWS_A_PAGE = 25
ASKED = "own_file_pages.new"
"""The page on which a list is asked for that is too long to be sent at once."""
Show = Callable[[list[Any]], Iterable[Any]]
AGE, DOWNWARDS = "usia", "-"


@dataclass(frozen=True)
class Asked:
    """A list that is opened outside its page (`web.replays`): what is in it, what is shown of it, and in which order."""

    listing: Listing[Any]
    show: Show
    export: Export
    order: Order

    @property
    def session(self) -> Session:
        """Return the session that reads it."""
        return context().session

    def begin_snapshot(self) -> None:
        """Read all that follows from one state of the database, and as the database gives it (`UnitOfWork.begin_snapshot`)."""
        context().uow.begin_snapshot()

    def goes_on(self, most: int) -> str:
        """Return what the last row of a file says that ends before its list does."""
        return _goes_on(most)


@dataclass(frozen=True)
class Choice:
    """An order that a list can have: its name in URLs, its words, the column's name in URLs, and whether it is the present order."""

    name: str
    words: str
    column: str
    upwards: bool
    chosen: bool


@dataclass(frozen=True)
class Shown:
    """What the macros of a list say around its rows (`web/macros.html`).

    `total` is the number of rows in words, empty where they were not counted. `names` are the filters that the list knows, `chosen` those
    that are set. `limited`: the actor sees a part of what there is. `behind`: the page lies behind the first one. `looked`: how many rows
    of the list the page looked through, in words, if it may have fewer than fit the filters for that; `onward`: the cursor of the next.
    """

    total: str = ""
    orders: tuple[Choice, ...] = ()
    names: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    limited: bool = False
    behind: bool = False
    looked: str = ""
    onward: str = ""

    def heading(self, column: str) -> tuple[str, str] | None:
        """Return the value of `aria-sort` for a column, empty if it is not sorted by, and the name of the order that a click gives.

        A first click sorts upwards, or the other way round than now. Return None if the list cannot be sorted by the column.
        """
        of = [choice for choice in self.orders if choice.column == column]
        now = next((choice for choice in of if choice.chosen), None)
        other = next((choice for choice in of if choice.upwards is not (now is not None and now.upwards)), None)
        if other is None:
            return None
        return ("" if now is None else "ascending" if now.upwards else "descending"), other.name


def answer(
    template: str,
    listing: Listing[Any],
    show: Show,
    export: Export,
    *,
    oldest_first: bool = False,
    usual: str = "",
    number: int | None = None,
    counted: Callable[[], int | None] | None = None,
    **values: Any,
) -> Response:
    """Return one page of a list as HTML, or the whole list as a file with `?unduh=csv|xlsx`: a long one by the worker.

    `?urut=NAME` or `-NAME` chooses the order, for both. `usual` is the name of the one that counts where the URL names none. A file that
    ends before the list does says so in its last row. `number` is that of all rows, if it is known; else they are counted.
    `counted` says the same as `paging.count` where the list has a cheaper way, or None. The template gets `items` and `next`.
    Raise Invalid for an unknown order or format.
    """
    choices, chosen = _chosen(export, OLDEST_FIRST if oldest_first else NEWEST_FIRST, usual)
    order, wanted = choices[chosen][1], request.args.get("unduh")
    if (take := g.get(TAKER)) is not None:
        take(Asked(listing, show, export, order))
        return make_response("")
    if wanted:
        return _file(wanted, listing, show, export, order)
    found = paging.page(context().session, *listing, limit=ROWS_A_PAGE, cursor=request.args.get("cursor"), order=order)
    orders = tuple(
        Choice(each, words, each.removeprefix(DOWNWARDS) or AGE, one.upwards, each == chosen) for each, (words, one) in choices.items()
    )
    surround(export, total=_total(listing, export, found, number, counted), orders=orders, looked=found.looked, onward=found.next or "")
    return make_response(render_template(template, items=list(show(found.items)), next=found.next, **values))


def position() -> int:
    """Return the position in the URL behind which a page of rows with positions begins: 0, the beginning, if it is none."""
    return min(max(request.args.get("cursor", 0, type=int), 0), LARGEST_INTEGER)


def first(listing: Listing[Any], export: Export, most: int) -> list[Any]:
    """Return the first `most` rows of a list, in the order that the URL names. Raise Invalid for an unknown order."""
    choices, chosen = _chosen(export, NEWEST_FIRST)
    return paging.first(context().session, listing, choices[chosen][1], most)


def _chosen(export: Export, usual: Order, first: str = "") -> tuple[dict[str, tuple[str, Order]], str]:
    choices, chosen = _orders(export.orders, usual), request.args.get("urut", first)
    if chosen not in choices:
        raise Invalid.field("urut", "This list has no such order.")
    return choices, chosen


def surround(export: Export, *, total: str = "", orders: tuple[Choice, ...] = (), looked: int = 0, onward: str = "") -> None:
    """Keep what the macros of this page's list say. `answer` does; a page that shows sums in place of rows calls it by itself."""
    chosen = tuple(name for name, usual in export.filters.items() if request.args.get(name, "").strip() not in ("", usual))
    words, is_behind = str(format_decimal(looked)) if looked else "", bool(request.args.get("cursor"))
    g.shown_list = Shown(total, orders, tuple(export.filters), chosen, _is_limited(), is_behind, words, onward)


def shown_list() -> Shown:
    """Return what the macros say of this page's list."""
    found: Shown = g.get("shown_list", Shown())
    return found


def _total(listing: Listing[Any], export: Export, found: Page[Any], number: int | None, counted: Callable[[], int | None] | None) -> str:
    """Return how many rows there are, in words. Rows that are all on the first page are not counted again.

    Empty for a list whose pages look through a part of it: to count is to look through all of it.
    """
    if found.next is None and not request.args.get("cursor"):
        number = len(found.items)
    elif is_looked_through(context().session, listing[0]):
        return ""
    elif number is not None:
        return export.counted(number, str(format_decimal(number)))
    else:
        known = counted() if counted else None
        number = paging.count(context().session, listing) if known is None else known
    return export.counted(number, at_most(number, MOST_COUNTED))


def at_most(number: int, most: int) -> str:
    """Return a number in words, of which it is known only that it is greater if it is greater than `most`."""
    return gettext("More than %(number)s", number=format_decimal(most)) if number > most else str(format_decimal(number))


def _is_limited() -> bool:
    """Return whether the actor sees only a part of what lists of this kind hold."""
    policy = policy_of(current_app.view_functions.get(request.endpoint or ""))
    if policy is None or policy.operation not in set(Operation):
        return False
    return Scope.ALL not in reach_of(context().actor, Operation(policy.operation))


def _orders(columns: Columns, usual: Order) -> dict[str, tuple[str, Order]]:
    """Return the orders by their names in URLs. The usual order has the empty name."""
    newest, oldest = (gettext("Newest first"), NEWEST_FIRST), (gettext("Oldest first"), OLDEST_FIRST)
    found = {"": oldest, DOWNWARDS + AGE: newest} if usual is OLDEST_FIRST else {"": newest, AGE: oldest}
    for name, (words, column) in columns.items():
        up, down = _directions(column.type.python_type, str(words))
        found[name], found[DOWNWARDS + name] = (up, Order(column, upwards=True)), (down, Order(column))
    return found


def _directions(kind: type[Any], column: str) -> tuple[str, str]:
    """Return the words for the two directions of an order by a column of this type, upwards first."""
    if issubclass(kind, str):
        return gettext("%(column)s, A to Z", column=column), gettext("%(column)s, Z to A", column=column)
    if issubclass(kind, date):  # moments too
        return gettext("%(column)s, oldest first", column=column), gettext("%(column)s, newest first", column=column)
    return gettext("%(column)s, ascending", column=column), gettext("%(column)s, descending", column=column)


def _file(wanted: str, listing: Listing[Any], show: Show, export: Export, order: Order) -> Response:
    if wanted not in WRITERS:
        raise Invalid.field("unduh", "A list is had as csv or xlsx.")
    direct = resources().settings.direct_rows
    if paging.count(context().session, listing, direct) > direct and (page := link_to(ASKED, daftar=request.full_path)):
        return cast("Response", redirect(page, 303))  # the worker writes it, and this page asks for it
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
        yield [_goes_on(export.most)]


def _goes_on(most: int) -> str:
    words = gettext("The list goes on: only its first %(most)s rows are here. Narrow it by its filters.", most=format_decimal(most))
    return str(words)


def _group(groups: Iterator[Sequence[Any]], show: Show, export: Export, allowed: Allowance) -> list[list[object]] | None:
    """Return the next rows, None at the end. The client's reading does not count as time, for the server holds what is not read."""
    if allowed.is_over:
        raise Unavailable("The list took too long to write. Narrow it by its filters, or try again later.", retry_after=RETRY_AFTER)
    with allowed.step():
        items = next(groups, None)
        return None if items is None else [[column(item) for column in export.columns.values()] for item in show(list(items))]
