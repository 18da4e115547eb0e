"""Keyset paging: the cost of a page does not grow with the length of the list."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from sifilma.kernel import ways
from sifilma.kernel.errors import Invalid
from sifilma.kernel.ways import directed

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


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list. `next` is the cursor of the next page, None at the end.

    `looked`: rows of the list that were looked through, where the page may have fewer rows than fit it for that; else 0.
    """

    items: list[T]
    next: str | None
    looked: int = 0


def page(
    session: Session, query: Select[Any], key: Key, *, limit: int = 50, cursor: str | None = None, order: Order = NEWEST_FIRST
) -> Page[Any]:
    """Return one page of the rows, by a key (UUIDv7, or a code in text) or in another order. `limit` is bounded to 1…200.

    Raise Invalid for a cursor that was not made here for this order.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    columns = _columns(key, order)
    behind = [_behind(columns, _decode(cursor, columns), order)] if cursor else []
    part = query.where(*behind)
    keys = looked = None
    if ways.is_looked_through(session, query):
        keys = looked = ways.looked_at(query, columns, behind, ways.LOOKED, upwards=order.upwards)
    if keys is None and order.by is None:
        keys = ways.first_keys(session, query, key, behind, limit + 1, upwards=order.upwards)
    if keys is not None:
        part = query.where(ways.one_of_keys(key, keys.subquery()))
    # One row more than asked for tells whether there is a next page, without a count.
    rows = list(session.scalars(part.order_by(*directed(columns, upwards=order.upwards)).limit(limit + 1)))
    if len(rows) > limit:
        return Page(rows[:limit], _encode([getattr(rows[limit - 1], column.key) for column in columns]))
    last = None if looked is None else session.execute(looked.offset(ways.LOOKED - 1).limit(1)).first()
    return Page(rows, None) if last is None else Page(rows, _encode(list(last)), ways.LOOKED)


def count(session: Session, listing: Listing[Any], most: int = MOST_COUNTED) -> int:
    """Return the number of rows of a list, or `most` + 1 if there are more than `most`."""
    query, key = listing
    keys = query.with_only_columns(key).order_by(None).limit(most + 1).subquery()
    return session.scalars(select(func.count()).select_from(keys)).one()


def first(session: Session, listing: Listing[Any], order: Order, most: int) -> list[Any]:
    """Return the first `most` rows of a list in one statement. They are few: all of them are in memory."""
    query, key = listing
    return list(session.scalars(query.order_by(*directed(_columns(key, order), upwards=order.upwards)).limit(most)))


def walk(session: Session, listing: Listing[Any], order: Order, most: int) -> Generator[Sequence[Any], None, None]:
    """Yield the first `most` rows in groups of at most WALKED, as the database gives them: one query, and one group in memory.

    The session must be in a transaction, which PostgreSQL's cursor needs (`UnitOfWork.begin_snapshot`).
    """
    query, key = listing
    ordered = query.order_by(*directed(_columns(key, order), upwards=order.upwards)).limit(most)
    with closing(session.scalars(ordered.execution_options(yield_per=WALKED))) as rows:
        yield from rows.partitions()


def ordered(query: Select[Any], key: Key, order: Order) -> Select[Any]:
    """Return the query in an order, in which no two rows are equal."""
    return query.order_by(None).order_by(*directed(_columns(key, order), upwards=order.upwards))


def _columns(key: Key, order: Order) -> list[InstrumentedAttribute[Any]]:
    return [key] if order.by is None else [order.by, key]


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
