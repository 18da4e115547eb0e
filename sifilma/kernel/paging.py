"""Keyset paging: the cost of a page does not grow with the length of the list."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, any_, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import InstrumentedAttribute, Session

from sifilma.kernel.errors import Invalid

T = TypeVar("T")
MAX_LIMIT = 200
MOST_COUNTED = 1_000
"""Rows up to which the rows of a list are counted: more take as long to count as to read."""
WALKED = 500
"""Rows of a list that `walk` has in memory at a time."""
Listing: TypeAlias = tuple[Select[T], InstrumentedAttribute[UUID]]
"""The select of a list, and the UUIDv7 column it is paged by."""
Key: TypeAlias = InstrumentedAttribute[UUID] | InstrumentedAttribute[str]


@dataclass(frozen=True)
class Order:
    """An order: by the column `by`, which is never NULL, and then by the key; by the key alone if `by` is None.

    The greatest comes first, unless `upwards`.
    """

    by: InstrumentedAttribute[Any] | None = None
    upwards: bool = False


NEWEST_FIRST, OLDEST_FIRST = Order(), Order(upwards=True)


_FOUND_BY = "sifilma_found_by"


def found_by(query: Select[Any], ids: Select[Any]) -> Select[Any]:
    """Have pages of a list on PostgreSQL, in the order of its key, read by `ids`: the keys of its rows, which an index has in that order.

    PostgreSQL takes it that rows with a value are spread evenly. Where all of them are old, it would walk past every newer row. A list
    that is restricted further is read without `ids`.
    """
    return query.execution_options(**{_FOUND_BY: (ids, query.whereclause)})


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list. `next` is the cursor of the next page, None at the end."""

    items: list[T]
    next: str | None


def page(
    session: Session, query: Select[Any], key: Key, *, limit: int = 50, cursor: str | None = None, order: Order = NEWEST_FIRST
) -> Page[Any]:
    """Return one page of the rows, by a key (UUIDv7, or a code in text) or in another order. `limit` is bounded to 1…200.

    Raise Invalid for a cursor that was not made here for this order.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    columns = _columns(key, order)
    ids = _ids(session, query) if order.by is None else None
    part = query if ids is None else ids
    if cursor:
        part = part.where(_behind(columns, _decode(cursor, columns), order))
    ordered = part.order_by(*_ordering(columns, order))
    if ids is not None:  # a subquery that has an order is planned by itself, as if all of its rows were wanted
        (each,) = ordered.subquery().c
        # Written as an array, which leaves PostgreSQL no choice but to look each row up.
        ordered = query.join(each.table, key == any_(array([each]))).order_by(each if order.upwards else each.desc())
    # One row more than asked for tells whether there is a next page, without a count.
    rows = list(session.scalars(ordered.limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _encode([getattr(rows[-1], column.key) for column in columns]) if more else None)


def _ids(session: Session, query: Select[Any]) -> Select[Any] | None:
    """Return what `found_by` was given, unless the list was restricted further, or the database is SQLite."""
    ids, meant = query.get_execution_options().get(_FOUND_BY, (None, None))
    restricted = ids is None or query.whereclause is None or not query.whereclause.compare(meant)
    return None if restricted or session.get_bind().dialect.name == "sqlite" else ids


def count(session: Session, listing: Listing[Any], most: int = MOST_COUNTED) -> int:
    """Return the number of rows of a list, or `most` + 1 if there are more than `most`."""
    query, key = listing
    keys = query.with_only_columns(key).order_by(None).limit(most + 1).subquery()
    return session.scalars(select(func.count()).select_from(keys)).one()


def first(session: Session, listing: Listing[Any], order: Order, most: int) -> list[Any]:
    """Return the first `most` rows of a list in one statement. They are few: all of them are in memory."""
    query, key = listing
    return list(session.scalars(query.order_by(*_ordering(_columns(key, order), order)).limit(most)))


def walk(session: Session, listing: Listing[Any], order: Order, most: int) -> Generator[Sequence[Any], None, None]:
    """Yield the first `most` rows in groups of at most WALKED, as the database gives them: one query, and one group in memory.

    The session must be in a transaction, which PostgreSQL's cursor needs (`UnitOfWork.begin_snapshot`).
    """
    query, key = listing
    ordered = query.order_by(*_ordering(_columns(key, order), order)).limit(most)
    with closing(session.scalars(ordered.execution_options(yield_per=WALKED))) as rows:
        yield from rows.partitions()


def ordered(query: Select[Any], key: Key, order: Order) -> Select[Any]:
    """Return the query in an order, in which no two rows are equal."""
    return query.order_by(None).order_by(*_ordering(_columns(key, order), order))


def _columns(key: Key, order: Order) -> list[InstrumentedAttribute[Any]]:
    return [key] if order.by is None else [order.by, key]


def _ordering(columns: list[InstrumentedAttribute[Any]], order: Order) -> Iterator[ColumnElement[Any] | InstrumentedAttribute[Any]]:
    return (column if order.upwards else column.desc() for column in columns)


def _behind(columns: list[InstrumentedAttribute[Any]], last: list[Any], order: Order) -> ColumnElement[bool]:
    """Return the condition for rows after the last one seen. As a row value comparison both databases answer it from an index."""
    here, there = tuple_(*columns), tuple_(*(literal(value, column.type) for value, column in zip(last, columns, strict=True)))
    return here > there if order.upwards else here < there


def _encode(values: list[Any]) -> str:
    # A cursor is neither sealed nor signed: it only says where to continue in a query that is limited to the actor's scope anyway.
    text = json.dumps([value.isoformat() if isinstance(value, date) else str(value) for value in values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, columns: list[InstrumentedAttribute[Any]]) -> list[Any]:
    try:
        texts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(texts, list):
            raise TypeError
        return [_value(text, column.type.python_type) for text, column in zip(texts, columns, strict=True)]
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as broken:
        raise Invalid.field("cursor", "This cursor was not given out by this list.") from broken


def _value(text: object, kind: type[Any]) -> Any:
    """Return a column's value from its text. Raise ValueError, TypeError or OverflowError for what no column could hold.

    A cursor comes from the client. A value that the database refuses would otherwise end in an error 500.
    """
    if not isinstance(text, str):
        raise TypeError
    value = kind.fromisoformat(text) if issubclass(kind, date) else kind(text)  # datetime is a subclass of date
    match value:
        case datetime():
            if value.tzinfo is None:
                raise ValueError
            value.astimezone(UTC)  # OverflowError if the moment lies outside the calendar in UTC
        case str() if not (value and value.isprintable()):
            raise ValueError
        case int() if abs(value) >= 1 << 31:
            raise OverflowError
    return value
