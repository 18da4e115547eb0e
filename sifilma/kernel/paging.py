"""Keyset paging: constant cost per page, however long the list."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from sifilma.kernel.errors import Invalid

T = TypeVar("T")
MAX_LIMIT = 200
Listing: TypeAlias = tuple[Select[T], InstrumentedAttribute[UUID]]
"""What a list is made of: the select, and the UUIDv7 column it is paged by."""
Key: TypeAlias = InstrumentedAttribute[UUID] | InstrumentedAttribute[str]


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list and the cursor of the next, None at the end."""

    items: list[T]
    next: str | None


def page(
    session: Session,
    query: Select[Any],
    key: Key,
    *,
    limit: int = 50,
    cursor: str | None = None,
    oldest_first: bool = False,
) -> Page[Any]:
    """The newest rows first, or the oldest, by a UUIDv7 key (or by a code, which is text); `limit` is held within 1…200.

    Invalid for a cursor not made here.
    """
    limit = max(1, min(limit, MAX_LIMIT))
    if cursor:
        after = _decode(cursor, key.type.python_type)
        query = query.where(key > after if oldest_first else key < after)
    rows = list(session.scalars(query.order_by(key if oldest_first else key.desc()).limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return Page(rows, _encode(getattr(rows[-1], key.key)) if more else None)


def _encode(value: UUID | str) -> str:
    return base64.urlsafe_b64encode(value.encode() if isinstance(value, str) else value.bytes).decode().rstrip("=")


def _decode(cursor: str, kind: type[Any]) -> UUID | str:
    try:
        found = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return _code(found.decode("ascii")) if kind is str else UUID(bytes=found)
    except (ValueError, binascii.Error) as broken:
        raise Invalid.field("cursor", "This cursor was not given out by this list.") from broken


def _code(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError
    return text
