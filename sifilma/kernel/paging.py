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

from sqlalchemy import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    Column,
    ColumnElement,
    FromClause,
    Select,
    any_,
    func,
    literal,
    select,
    true,
    tuple_,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import Grouping

from sifilma.kernel.errors import Invalid

T = TypeVar("T")
Query = TypeVar("Query", bound=Select[Any])
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


_REACHED = "sifilma_reached"


@dataclass(frozen=True)
class Way:
    """How rows come into a list: their `column` has the value `owner`, or one of those that the query `owner` gives.

    An index has the column and then the key of the list.
    """

    column: Any
    owner: UUID | str | Select[Any]


def reached(query: Query, reach: ColumnElement[bool], ways: Sequence[Way]) -> Query:
    """Restrict a list to the rows that `reach` lets in, which are those of all `ways` together.

    On PostgreSQL its pages in the order of the key are then read way by way: the keys of each in the order of its index, and of these the
    first. It takes it that rows of an owner are spread evenly, and for a condition with OR it may walk past those of all others. Where a
    list is narrowed twice, the ways are those of the last time.
    """
    known, _ = query.get_execution_options().get(_REACHED, ((), ()))
    return query.where(reach).execution_options(**{_REACHED: ((*known, reach), tuple(ways))})


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
    behind = _behind(columns, _decode(cursor, columns), order) if cursor else None
    part = query if behind is None else query.where(behind)
    if order.by is None and (keys := _keys_by_ways(session, query, key, behind, order, limit + 1)) is not None:
        part = query.where(key == any_(func.array(keys.scalar_subquery(), type_=ARRAY(key.type))))
    ordered = part.order_by(*_ordering(columns, order))
    # One row more than asked for tells whether there is a next page, without a count.
    rows = list(session.scalars(ordered.limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _encode([getattr(rows[-1], column.key) for column in columns]) if more else None)


def _keys_by_ways(
    session: Session, query: Select[Any], key: Key, behind: ColumnElement[bool] | None, order: Order, most: int
) -> Select[Any] | None:
    """Return the query of the first keys of a list, of each of its ways by itself.

    None if the list was not `reached`, or by one owner alone, which needs no such help; if it was restricted otherwise than by values of
    columns of its own, which each way would look for again; or if the database is SQLite.
    """
    known, ways = query.get_execution_options().get(_REACHED, ((), ()))
    single = len(ways) == 1 and len(known) == 1 and not isinstance(ways[0].owner, Select)
    if not ways or single or session.get_bind().dialect.name == "sqlite":
        return None
    others = [one for one in _conditions(query) if not any(one is each for each in known)]
    tables = {*(one for one in query.get_children() if isinstance(one, FromClause)), *(way.column.table for way in ways)}
    if tables != {key.table} or not all(_is_plain(one) for one in others):
        return None
    direction = key if order.upwards else key.desc()
    keys = select(key).where(*others, *([] if behind is None else [behind])).order_by(direction).limit(most)
    (each,) = union(*(_keys_of(keys, way) for way in ways)).subquery().c
    return select(each).order_by(each if order.upwards else each.desc()).limit(most)


def _keys_of(keys: Select[Any], way: Way) -> Select[Any]:
    if not isinstance(way.owner, Select):
        return select(keys.where(way.column == way.owner).subquery())
    owners = way.owner.subquery()
    (owner,) = owners.c
    each = keys.where(way.column == owner).correlate(owners).lateral()
    return select(each).select_from(owners.join(each, true()))


def _conditions(query: Select[Any]) -> list[Any]:
    """Return the conditions of a query that are joined by AND."""
    where = query.whereclause
    both = where.clauses if isinstance(where, BooleanClauseList) and where.operator is operators.and_ else [where]
    return [one.element if isinstance(one, Grouping) else one for one in both]


def _is_plain(condition: Any) -> bool:
    return isinstance(condition, BinaryExpression) and isinstance(condition.left, Column) and isinstance(condition.right, BindParameter)


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
