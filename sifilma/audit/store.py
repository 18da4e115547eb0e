"""The log as it is kept in the database: reading its tree, and rows other hands may have spoilt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.orm import Session

from sifilma.audit.models import AuditEntry, LogLeaf, LogNode
from sifilma.audit.tree import Frontier, Place, Range, complete_parts, hash_of, needed
from sifilma.kernel.errors import Unavailable

ENTRY: Table = AuditEntry.__table__  # type: ignore[assignment]  # a declarative class's table is a Table
LEAF: Table = LogLeaf.__table__  # type: ignore[assignment]  # as above
NODE: Table = LogNode.__table__  # type: ignore[assignment]  # as above
Row = Mapping[Any, Any]
"""A row by its columns' names."""
UNREADABLE = (ValueError, TypeError, AttributeError)
"""What a column type raises over a value it cannot have stored: SQLite keeps whatever SQL wrote."""


class LogBroken(Unavailable):
    """The log is not what was signed: `sifilma audit verify` says what happened. Nothing more is signed."""

    type = "log-broken"
    title = "The transparency log has been damaged"


def log_size(session: Session) -> int:
    """How many entries are in the log."""
    last = session.execute(select(func.max(LEAF.c.seq))).scalar()
    return 0 if last is None else last + 1


class StoredTree:
    """The tree over the stored leaves. A hash costs a few rows per height, whatever the log's size."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def hashes(self, ranges: Sequence[Range]) -> list[bytes]:
        """The hash over each range; LogBroken where something is missing."""
        found = self._fetch(needed(ranges))
        try:
            return [hash_of(part, found.__getitem__) for part in ranges]
        except KeyError as missing:
            raise LogBroken(f"The log lacks the hash of {missing.args[0]} (height, index).") from None

    def root(self, size: int) -> bytes:
        """The root the tree had at this size."""
        return self.hashes([(0, size)])[0]

    def frontier(self, size: int) -> Frontier:
        """The right edge the tree had at this size."""
        parts = [(index << height, (index + 1) << height) for height, index in complete_parts(0, size)]
        return Frontier(size, self.hashes(parts))

    def _fetch(self, places: Iterable[Place]) -> dict[Place, bytes]:
        """One statement per height."""
        found: dict[Place, bytes] = {}
        for height, group in groupby(sorted(places), key=lambda place: place[0]):
            wanted = [index for _, index in group]
            leaves = select(LEAF.c.seq, LEAF.c.hash).where(LEAF.c.seq.in_(wanted))
            nodes = select(NODE.c.idx, NODE.c.hash).where(NODE.c.height == height, NODE.c.idx.in_(wanted))
            rows = self._session.execute(nodes if height else leaves)
            found.update({(height, index): as_bytes(value) for index, value in rows})
        return found


def as_bytes(value: object) -> bytes:
    """A stored hash; nothing, which equals no hash, where other hands have put something else."""
    return bytes(value) if isinstance(value, bytes | memoryview) else b""


def rows_by(session: Session, table: Table, key: str, values: Sequence[Any]) -> dict[Any, Row | None]:
    """The rows of a table by the values of a column; None for a row that cannot be read. Values without a row are left out."""
    query = select(table).where(table.c[key].in_(values))
    try:
        return {row[key]: row for row in session.execute(query).mappings()}
    except UNREADABLE:
        if len(values) == 1:
            return {values[0]: None}
        return {value: row for one in values for value, row in rows_by(session, table, key, [one]).items()}
