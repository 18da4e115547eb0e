"""Keyset paging: constant cost per page, however long the list."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from sifilma.kernel.errors import Invalid

T = TypeVar("T")
MAX_LIMIT = 200
Listing: TypeAlias = tuple[Select[T], InstrumentedAttribute[UUID]]
"""What a list is made of: the select, and the UUIDv7 column it is paged by."""
Key: TypeAlias = InstrumentedAttribute[UUID] | InstrumentedAttribute[str]


@dataclass(frozen=True)
class Order:
    """By a column that is never NULL (the key alone if none) and then by the key; the greatest first, unless `upwards`."""

    by: InstrumentedAttribute[Any] | None = None
    upwards: bool = False


NEWEST_FIRST, OLDEST_FIRST = Order(), Order(upwards=True)


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list and the cursor of the next, None at the end."""

    items: list[T]
    next: str | None


def page(
    session: Session, query: Select[Any], key: Key, *, limit: int = 50, cursor: str | None = None, order: Order = NEWEST_FIRST
) -> Page[Any]:
    """One page of the rows, by a UUIDv7 key (or by a code, which is text), or in another order; `limit` is held within 1…200.

    Invalid for a cursor that was not made here, for this order.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    columns: list[InstrumentedAttribute[Any]] = [key] if order.by is None else [order.by, key]
    if cursor:
        query = query.where(_behind(columns, _decode(cursor, columns), order))
    ordered = query.order_by(*(column if order.upwards else column.desc() for column in columns))
    rows = list(session.scalars(ordered.limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _encode([getattr(rows[-1], column.key) for column in columns]) if more else None)


def _behind(columns: list[InstrumentedAttribute[Any]], last: list[Any], order: Order) -> ColumnElement[bool]:
    """What comes after the last row seen. As row values: both databases walk an index on the first column to it."""
    here, there = tuple_(*columns), tuple_(*(literal(value, column.type) for value, column in zip(last, columns, strict=True)))
    return here > there if order.upwards else here < there


def _encode(values: list[Any]) -> str:
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
    """What a column holds, from its text; ValueError, TypeError or OverflowError for what no column could."""
    if not isinstance(text, str):
        raise TypeError
    value = kind.fromisoformat(text) if issubclass(kind, date) else kind(text)  # moments are dates too
    match value:
        case datetime():
            if value.tzinfo is None:
                raise ValueError
            value.astimezone(UTC)  # within the calendar there too
        case str() if not (value and value.isprintable()):
            raise ValueError
        case int() if abs(value) >= 1 << 31:
            raise OverflowError
    return value
