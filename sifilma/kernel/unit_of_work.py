"""The unit of work: one per request, committed in one place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from sifilma.kernel.errors import OutcomeUnknown
from sifilma.kernel.outages import is_lost

T = TypeVar("T")
log = structlog.get_logger()
# Per thread, so that the HSM's guard finds the unit of the request it runs for without being given it.
_current = threading.local()
AUTOCOMMIT = {"isolation_level": "AUTOCOMMIT"}


class OpenTransaction(AssertionError):
    """The code is about to make a slow call (to the HSM) while a database transaction is open. This is a bug, not a refusal."""


class UnitOfWork:
    """A session whose transaction is opened for reading or for writing. Only the edge of the process commits it.

    On SQLite a reading transaction is deferred and a writing one begins IMMEDIATE. On PostgreSQL reads run in autocommit: this saves two
    round trips, and READ COMMITTED gives no consistency between two statements either. Only those that are planned once have a transaction
    while they follow each other (`KeepingCursor`).
    """

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions
        self._session = sessions()
        self._read_only = self._snapshot = False
        self._afterwards: list[Callable[[Session], object]] = []
        _current.unit = self

    @property
    def session(self) -> Session:
        """Return the session. A transaction is begun if none is open."""
        if not self._session.in_transaction():
            # `_sqlite_begin` (sifilma/kernel/db.py) reads this option when the transaction begins.
            options: dict[str, Any] = {"sifilma_read_only": self._read_only}
            if self._read_only and self._session.get_bind().dialect.name == "postgresql":
                # The driver's option, not a statement: no round trip.
                options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self._snapshot else AUTOCOMMIT
            self._session.connection(execution_options=options)
        return self._session

    @property
    def in_transaction(self) -> bool:
        """Return whether a database transaction is open."""
        return self._session.in_transaction()

    def begin_read(self) -> None:
        """Declare that only reads follow, until `begin_write` or `end_read`."""
        self._read_only, self._snapshot = True, False

    def begin_snapshot(self) -> None:
        """Declare that only reads follow, all from one state of the database, until `end_read`. What was not committed is discarded.

        It holds a connection, and on SQLite keeps the WAL from being truncated: whoever calls it bounds how long.
        Objects read before stay attached; they are read again when they are used.
        """
        self._session.rollback()
        self._read_only = self._snapshot = True

    def begin_write(self) -> None:
        """Declare that writes follow, and end a reading transaction.

        Objects read before are detached. The caller must read them again, or rely on their `revision` to notice a change in between.
        """
        if self._read_only and self._session.in_transaction():
            self._close()
        self._read_only = self._snapshot = False

    def end_read(self) -> None:
        """Close the reading transaction before slow work (HSM, hashing). Loaded objects stay readable, but detached.

        Raise OpenTransaction if something was changed already: the change would be lost.
        """
        self._require_unchanged()
        self._close()
        self._read_only = self._snapshot = False

    def _require_unchanged(self) -> None:
        if self._session.new or self._session.dirty or self._session.deleted:
            raise OpenTransaction("a transaction with changes cannot be ended as a read")

    def restart_read(self) -> None:
        """Close the reading transaction and continue reading in a new one.

        A reading transaction that lasts long keeps SQLite from truncating its WAL. Where reads run in autocommit there is none: the
        connection stays, and the objects that were read are let go. Raise OpenTransaction as `end_read` does.
        """
        if self._reads_in_autocommit():
            self._require_unchanged()
            self._session.expunge_all()
        else:
            self.end_read()
        self.begin_read()

    def _reads_in_autocommit(self) -> bool:
        if not self._session.in_transaction():
            return False
        return self._session.connection().get_execution_options().get("isolation_level") == AUTOCOMMIT["isolation_level"]

    def at_once(self, act: Callable[[], T]) -> T:
        """Run `act` in a transaction of its own and commit it here. The unit then continues as before, reading or writing.

        For an effect that must remain if the rest is refused, such as the use of a one-time code that came with a form.
        Raise OpenTransaction as `end_read` does.
        """
        was_reading = self._read_only
        self.end_read()
        try:
            result = act()
            self.commit()
            return result
        finally:
            self.rollback()
            self._read_only = was_reading

    def commit(self) -> None:
        """Commit everything of this unit. The edge calls it (request, command, job), a service never does.

        Raise OutcomeUnknown if the connection is lost meanwhile: PostgreSQL may have committed before.
        """
        self._session.flush()  # what fails here fails before COMMIT, and nothing was saved
        try:
            self._session.commit()
        except DBAPIError as fault:
            if is_lost(fault):
                log.error("commit without an answer", reason=str(fault.orig).splitlines()[:1])
                raise OutcomeUnknown from fault
            raise

    def rollback(self) -> None:
        """Discard everything since the last commit. Where the connection is lost, the database does so by itself."""
        self._end(self._session.rollback)

    def close(self) -> None:
        """Return the connection to the pool, or give it up if it is lost."""
        self._close()
        if getattr(_current, "unit", None) is self:
            _current.unit = None
        while self._afterwards:
            self._write_afterwards(self._afterwards.pop(0))

    def afterwards(self, write: Callable[[Session], object]) -> None:
        """Run `write` in a short transaction of its own once this unit is closed, whatever became of it: this unit goes on meanwhile.

        For the record of something that was noticed and does not end the act. Without the database it is logged as not recorded.
        """
        self._afterwards.append(write)

    def _write_afterwards(self, write: Callable[[Session], object]) -> None:
        try:
            with self._sessions() as session, session.begin():
                write(session)
        except SQLAlchemyError as fault:
            log.error("not recorded", error=type(fault).__name__)

    def separately(self, write: Callable[[Session], T]) -> T:
        """Roll this unit back and run `write` in a short transaction of its own, which stands whatever becomes of the unit afterwards.

        For the record of a refusal (it outlives the refused act's rollback), and for what others must see at once.
        """
        self.rollback()
        with self._sessions() as session, session.begin():
            return write(session)

    def _close(self) -> None:
        self._end(self._session.close)

    def _end(self, end: Callable[[], None]) -> None:
        """End the transaction. This runs after faults and in teardowns, and must not put a fault of its own in the place of the answer."""
        try:
            end()
        except SQLAlchemyError as fault:
            log.warning("transaction ended with its connection", error=type(fault).__name__)
            self._session.invalidate()


@contextmanager
def own_reading(sessions: sessionmaker[Session]) -> Iterator[UnitOfWork]:
    """Give a unit for reading beside the one that the thread has: behind the block, the guard of the HSM watches that one again."""
    before: UnitOfWork | None = getattr(_current, "unit", None)
    unit = UnitOfWork(sessions)
    unit.begin_read()
    try:
        yield unit
    finally:
        unit.close()
        _current.unit = before


def assert_no_transaction() -> None:
    """Raise OpenTransaction if this thread's unit of work has an open transaction (docs/architecture.md, rule 3).

    The HSM calls it before each operation: an HSM that hangs must not hold a connection or locks of the database.
    """
    unit: UnitOfWork | None = getattr(_current, "unit", None)
    if unit is not None and unit.in_transaction:
        raise OpenTransaction("no HSM call inside a database transaction")
