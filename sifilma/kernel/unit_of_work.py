"""One unit of work per request, committed in one place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.orm import Session, sessionmaker

T = TypeVar("T")
_current = threading.local()


class OpenTransaction(AssertionError):
    """A slow call (the HSM) was about to be made while a database transaction was open: a mistake in the code."""


class UnitOfWork:
    """A session whose transaction is opened for reading or for writing, and committed by the edge of the process only.

    On SQLite a reading transaction is deferred and a writing one begins IMMEDIATE. On PostgreSQL reads are made in autocommit:
    two round trips fewer, and READ COMMITTED promises no more between two statements.
    """

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions
        self._session = sessions()
        self._read_only = False
        _current.unit = self

    @property
    def session(self) -> Session:
        """The session; its transaction begins with the first statement."""
        if not self._session.in_transaction():
            options: dict[str, Any] = {"sifilma_read_only": self._read_only}
            if self._read_only and self._session.get_bind().dialect.name == "postgresql":
                options["isolation_level"] = "AUTOCOMMIT"
            self._session.connection(execution_options=options)
        return self._session

    @property
    def in_transaction(self) -> bool:
        """Whether a database transaction is open."""
        return self._session.in_transaction()

    def begin_read(self) -> None:
        """From here on only reads are made, until `begin_write` or `end_read`."""
        self._read_only = True

    def begin_write(self) -> None:
        """From here on writes are made, in a transaction of their own: what was read before is read again, or held by a revision."""
        if self._read_only and self._session.in_transaction():
            self._close()
        self._read_only = False

    def end_read(self) -> None:
        """Close the reading transaction before slow work (HSM, hashing); what was loaded stays readable, detached.

        Raises OpenTransaction when something was changed already: that would be lost.
        """
        if self._session.new or self._session.dirty or self._session.deleted:
            raise OpenTransaction("a transaction with changes cannot be ended as a read")
        self._close()
        self._read_only = False

    def breathe(self) -> None:
        """Close the reading transaction and go on reading in a new one: long reading holds nothing up."""
        self.end_read()
        self.begin_read()

    def at_once(self, act: Callable[[], T]) -> T:
        """Run `act` in a transaction of its own, committed here; the unit then goes on as it was, reading or writing.

        For what must stand whatever becomes of the rest (a one-time code that came with a form). Raises OpenTransaction as `end_read`.
        """
        was_reading = self._read_only
        self.end_read()
        try:
            result = act()
            self._session.commit()
            return result
        finally:
            self._session.rollback()
            self._read_only = was_reading

    def commit(self) -> None:
        """Make everything of this unit permanent. Called by the edge (request, command, job), never by a service."""
        self._session.commit()

    def rollback(self) -> None:
        """Forget everything since the last commit."""
        self._session.rollback()

    def close(self) -> None:
        """Give the connection back."""
        self._close()
        if getattr(_current, "unit", None) is self:
            _current.unit = None

    def separately(self, write: Callable[[Session], T]) -> T:
        """Roll this unit back and run `write` in a short transaction of its own, which stands whatever becomes of the unit afterwards.

        For the record of a refusal (it outlives the refused act's rollback), and for what others must see at once.
        """
        self._session.rollback()
        with self._sessions() as session, session.begin():
            return write(session)

    def _close(self) -> None:
        self._session.close()


def assert_no_transaction() -> None:
    """The HSM's guard: no call is made while this thread's unit of work holds a transaction (ARCHITECTURE, rule 3)."""
    unit: UnitOfWork | None = getattr(_current, "unit", None)
    if unit is not None and unit.in_transaction:
        raise OpenTransaction("no HSM call inside a database transaction")
