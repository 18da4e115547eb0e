"""Read the stored log: its tree, and rows that somebody may have damaged with SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Select, Table, func, literal, select, union_all
from sqlalchemy.orm import Session

from sifilma.audit.models import AuditEntry, LogLeaf, LogNode
from sifilma.audit.tree import Frontier, Place, Range, complete_parts, hash_of, needed
from sifilma.kernel.errors import Unavailable

ENTRY: Table = AuditEntry.__table__  # type: ignore[assignment]  # a declarative class's table is a Table
LEAF: Table = LogLeaf.__table__  # type: ignore[assignment]  # as above
NODE: Table = LogNode.__table__  # type: ignore[assignment]  # as above
Row = Mapping[Any, Any]
"""A row as a mapping from the names of its columns."""
UNREADABLE = (ValueError, TypeError, AttributeError)
"""The exceptions of a column type for a value that it cannot have written. SQLite stores whatever SQL writes."""


class LogBroken(Unavailable):
    """The log is not what was signed; `sifilma audit verify` reports what happened. Nothing more is signed."""

    type = "log-broken"
    title = "The transparency log has been damaged"


def log_size(session: Session) -> int:
    """Return the number of entries in the log."""
    last = session.execute(select(func.max(LEAF.c.seq))).scalar()
    return 0 if last is None else last + 1


class StoredTree:
    """The tree over the stored leaves. A hash costs a few rows per height, whatever the size of the log."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def hashes(self, ranges: Sequence[Range]) -> list[bytes]:
        """Return the hash over each range. Raise LogBroken if a stored hash is missing."""
        found = self._fetch(needed(ranges))
        try:
            return [hash_of(part, found.__getitem__) for part in ranges]
        except KeyError as missing:
            raise LogBroken(f"The log lacks the hash of {missing.args[0]} (height, index).") from None

    def root(self, size: int) -> bytes:
        """Return the root hash that the tree had at this size."""
        return self.hashes([(0, size)])[0]

    def frontier(self, size: int) -> Frontier:
        """Return the right edge that the tree had at this size."""
        parts = [(index << height, (index + 1) << height) for height, index in complete_parts(0, size)]
        return Frontier(size, self.hashes(parts))

    def _fetch(self, places: Iterable[Place]) -> dict[Place, bytes]:
        """Fetch all hashes in one statement, which has a SELECT by primary key for each height."""
        heights = groupby(sorted(places), key=lambda place: place[0])
        parts = [_part(height, [index for _, index in group]) for height, group in heights]
        rows = self._session.execute(union_all(*parts)) if parts else ()
        return {(height, index): as_bytes(value) for height, index, value in rows}


def _part(height: int, wanted: list[int]) -> Select[int, int, bytes]:
    if height:
        return select(NODE.c.height, NODE.c.idx, NODE.c.hash).where(NODE.c.height == height, NODE.c.idx.in_(wanted))
    return select(literal(0), LEAF.c.seq, LEAF.c.hash).where(LEAF.c.seq.in_(wanted))


def as_bytes(value: object) -> bytes:
    """Return a stored hash, or empty bytes, which equal no hash, if the column holds something else."""
    return bytes(value) if isinstance(value, bytes | memoryview) else b""


def rows_by(session: Session, table: Table, key: str, values: Sequence[Any]) -> dict[Any, Row | None]:
    """Return rows of a table by the values of a column. Values without a row are left out.

    A row that cannot be read is None. To find it, the rows are then read one by one.
    """
    query = select(table).where(table.c[key].in_(values))
    try:
        return {row[key]: row for row in session.execute(query).mappings()}
    except UNREADABLE:
        if len(values) == 1:
            return {values[0]: None}
        return {value: row for one in values for value, row in rows_by(session, table, key, [one]).items()}
