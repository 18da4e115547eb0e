"""Give checks their view: one moment of the database, or files and sealed values outside it. Nothing here writes or locks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, TextClause, text
from sqlalchemy.orm import InstrumentedAttribute, Session, sessionmaker

from config.settings import Settings
from hsm import HSM
from sifilma.kernel import seals
from sifilma.kernel.clock import ManualClock
from sifilma.kernel.context import Context
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.seals import Sealer
from sifilma.kernel.unit_of_work import UnitOfWork

AT_ONCE = 1000  # rows fetched at a time within the snapshot
BATCH = 200  # rows per short transaction outside it
FIRST = UUID(int=0)


@dataclass(frozen=True)
class Broken:
    """One object for which an invariant does not hold, and a text about it. It never holds a secret."""

    kind: str
    id: str
    says: str


def broken(kind: str, key: object, says: str) -> Broken:
    """Return a Broken for the object's key. A UUID is written with dashes, which SQLite leaves out."""
    plain = str(key)
    is_uuid = len(plain) == 32 and plain == plain.lower() and all(c in "0123456789abcdef" for c in plain)
    return Broken(kind, str(UUID(plain)) if is_uuid else plain, says)


class Snapshot:
    """One moment of the database, in a reading transaction that the caller ends."""

    def __init__(self, connection: Connection, settings: Settings, now: datetime) -> None:
        self.connection, self.settings, self.now = connection, settings, now

    def rows(self, query: str | Select[Any] | TextClause, **values: Any) -> Iterator[Row[Any]]:
        """The rows of a query, fetched as they are asked for: SQL that both databases understand, or a select of Core (see `dialects`)."""
        options = {"stream_results": True, "yield_per": AT_ONCE}
        statement = text(query) if isinstance(query, str) else query
        yield from self.connection.execute(statement, values, execution_options=options)

    def find(self, kind: str, query: str | Select[Any] | TextClause, says: str, **values: Any) -> Iterator[Broken]:
        """Yield one Broken per row. The column `id` names the object; the other columns are filled into `says`."""
        for row in self.rows(query, **values):
            yield broken(kind, row.id, says.format(**row._mapping))

    def context(self) -> Context:
        """Return a Context on this moment, for services that read. The caller closes its unit of work."""
        return Context(UnitOfWork(_sessions(self.connection, self.settings)), ManualClock(self.now))


def _sessions(connection: Connection, settings: Settings) -> sessionmaker[Session]:
    return sessionmaker(connection, info={seals.INFO: Sealer(settings)})


@dataclass(frozen=True)
class Outside:
    """What is checked without an open transaction. `reading` gives a connection for one short transaction."""

    settings: Settings
    hsm: HSM
    files: FileStore
    now: datetime
    reading: Callable[[], AbstractContextManager[Connection]]

    @contextmanager
    def context(self) -> Iterator[Context]:
        """Give a Context on one connection, for a service that reads."""
        with self.reading() as connection:
            unit = UnitOfWork(_sessions(connection, self.settings))
            try:
                yield Context(unit, ManualClock(self.now))
            finally:
                unit.close()

    def batches(self, query: Any, key: InstrumentedAttribute[UUID]) -> Iterator[Sequence[Row[Any]]]:
        """Yield the rows of a select in batches, each in a short transaction, in the order of its UUIDv7 key (its first column)."""
        after = FIRST
        while True:
            with self.reading() as connection:
                rows = connection.execute(query.where(key > after).order_by(key).limit(BATCH)).all()
            if rows:
                yield rows
            if len(rows) < BATCH:
                return
            after = rows[-1][0]
