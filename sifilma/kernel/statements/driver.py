"""The connection to PostgreSQL: psycopg with our deadlines, what is prepared and planned on it, and how values are sent."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import psycopg
from psycopg import errors as pg_errors
from psycopg._preparing import PrepareManager
from psycopg._queries import PostgresQuery, _query2pg_nocache
from psycopg.pq import TransactionStatus
from psycopg.types.array import ListDumper
from sqlalchemy import Dialect

from sifilma.kernel import deadline

LEAST_TO_CONNECT = 0.05  # seconds that must be left to open a new connection
_READS = ("SELECT", "WITH", "(SELECT")
_FOR_ALL = "SET LOCAL plan_cache_mode = force_generic_plan"
MOST_PREPARED = 250
"""Statements that a connection has prepared; those that were not used longest go. PostgreSQL holds 0.1 to 2.6 MB for each."""
LONGEST_KEPT = 65_536  # characters of a statement whose form for PostgreSQL is kept


@lru_cache(maxsize=512)  # about as many as SQLAlchemy keeps compiled
def _as_sent(query: bytes, encoding: str) -> Any:
    """Return a statement as PostgreSQL takes it ($1 for %(name)s), with the order of its parameters."""
    return _query2pg_nocache(query, encoding)


class _Query(PostgresQuery):
    """A statement whose form for PostgreSQL is kept, however long it is.

    psycopg keeps those of up to 4,096 bytes and 50 parameters: it expects longer ones to be made anew each time. Those of our lists and
    home pages are the same each time, and to read one costs more than to run it.
    """

    __slots__ = ()

    def convert(self, query: Any, vars: Any) -> None:  # psycopg's name
        """Set the statement, its order of parameters and their values."""
        if vars is None or not isinstance(query, str) or len(query) > LONGEST_KEPT:
            super().convert(query, vars)
            return
        self.query, self._want_formats, self._order, self._parts = _as_sent(self._ensure_bytes(query), self._tx.encoding)
        self.dump(vars)


class KeepingCursor(psycopg.Cursor[Any]):
    """A cursor that reads each statement once, and has PostgreSQL plan a SELECT for the values that it has.

    PostgreSQL would keep one plan for all after some executions, as if every organisation were of middle size: for the largest, which
    has a fifth of all cards, such a plan can take a hundred times as long. The statements of an activation, and those that read by given
    ids, find single rows (`Prepared`): their plan is kept. So is that of statements whose conditions leave no choice, and which take longer
    to plan than to execute (`execute_for_all`).
    """

    _query_cls = _Query

    def execute(self, query: Any, params: Any = None, *, prepare: bool | None = None, binary: bool | None = None) -> KeepingCursor:
        """Execute a statement, as psycopg does."""
        self._plan(for_all=False)
        if prepare is None and isinstance(query, str) and query.startswith(_READS):
            prepare = False
        return super().execute(query, params, prepare=prepare, binary=binary)

    def executemany(self, query: Any, params_seq: Any, *, returning: bool = False) -> None:
        """Execute a statement for many values, as psycopg does."""
        self._plan(for_all=False)
        super().executemany(query, params_seq, returning=returning)

    def copy(self, *args: Any, **kwargs: Any) -> Any:
        """Copy rows, as psycopg does."""
        self._plan(for_all=False)
        return super().copy(*args, **kwargs)

    def execute_kept(self, query: str, params: Any) -> KeepingCursor:
        """Execute a statement whose plan PostgreSQL may keep."""
        self._plan(for_all=False)
        return super().execute(query, params)

    def execute_for_all(self, query: str, params: Any) -> KeepingCursor:
        """Execute a statement by a plan that PostgreSQL makes once, for whatever values."""
        self._plan(for_all=True)
        return super().execute(query, params, prepare=True)

    def _plan(self, *, for_all: bool) -> None:
        """Have PostgreSQL plan the next statements of this transaction for all values, or for theirs: triggers plan in the same way.

        The setting is the transaction's, never the connection's, which a pooler may give to another client between two transactions. So
        reads that run in autocommit have one from the first statement that is planned for all to the next that is not.
        """
        connection = cast("DeadlineConnection", self.connection)
        if connection.pgconn.transaction_status == TransactionStatus.INERROR:
            connection.plans_for_all = False
            if not connection.autocommit:
                return  # it takes nothing but ROLLBACK, with which the setting ends
            connection.rollback()  # what failed was of the transaction that was begun here
        if connection.plans_for_all == for_all:
            return
        connection.plans_for_all = for_all
        if connection.autocommit:
            sent = f"BEGIN READ ONLY; {_FOR_ALL}" if for_all else "COMMIT"
        else:
            sent = _FOR_ALL if for_all else "SET LOCAL plan_cache_mode = auto"
        psycopg.Cursor(connection).execute(sent, prepare=False)


class _Lasting(PrepareManager):
    """The statements that a connection has prepared. They outlast the ROLLBACK of a transaction in which nothing failed.

    psycopg forgets them all at each ROLLBACK, because a table may have been made anew meanwhile. What serves pages makes none. After a
    fault they are forgotten: of a pipeline that broke off psycopg does not know what the server has prepared.
    """

    lasts = False

    def clear(self) -> bool:
        """Forget all, other than at the end of a sound transaction."""
        return False if self.lasts else super().clear()


class _Array(ListDumper):
    """A list of ids, numbers or texts as PostgreSQL reads an array.

    psycopg asks of each value by a regular expression whether it needs quotes, which is three quarters of what it costs to send a thousand
    ids. Ids and numbers need none, and texts may have them always.
    """

    def dump(self, obj: list[Any]) -> Any:  # psycopg's names
        """Return the text of the array."""
        kinds = set(map(type, obj))
        if kinds == {UUID}:
            return f"{{{','.join([one.hex for one in obj])}}}".encode()
        if kinds == {int}:
            return f"{{{','.join(map(str, obj))}}}".encode()
        if kinds == {str} and "\0" not in (joined := '","'.join([one.replace("\\", r"\\").replace('"', r"\"") for one in obj])):
            return f'{{"{joined}"}}'.encode(self._tx.encoding)
        return super().dump(obj)  # of other values, and of a text that PostgreSQL does not take: psycopg says so


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection whose waits never last longer than the request's deadline.

    Server-side time-outs do not help when the server process itself is stopped: it then answers nothing at all. So the client gives up.
    It also closes the connection, because the state of its transaction is unknown from then on.
    """

    plans_for_all = False
    """Whether PostgreSQL now plans for whatever values (`KeepingCursor`). It ends with the transaction."""

    def commit(self) -> None:
        """Commit, as psycopg does."""
        self.plans_for_all = False
        super().commit()

    def rollback(self) -> None:
        """Roll back, as psycopg does. What is prepared stays, unless something failed (`_Lasting`)."""
        self.plans_for_all = False
        prepared = cast("_Lasting", self._prepared)
        prepared.lasts = self._pipeline is None and self.pgconn.transaction_status == TransactionStatus.INTRANS
        try:
            super().rollback()
        finally:
            prepared.lasts = False

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait as psycopg does, but not beyond the deadline. Raise OperationalError when it has passed."""
        left = deadline.remaining()
        if left is not None:
            timeout = left if timeout is None else min(timeout, left)
        try:
            return super().wait(gen, interval, timeout)
        except pg_errors._WaitTimeout as late:
            self.pgconn.finish()
            raise psycopg.OperationalError("the database did not answer within the deadline") from late


def connect(_dialect: Dialect, _record: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Connect, unless the deadline has passed. psycopg limits this wait by its own clock, in whole seconds."""
    left = deadline.remaining()
    if left is not None and left < LEAST_TO_CONNECT:
        raise psycopg.OperationalError("no time is left to connect to the database")
    made = DeadlineConnection.connect(*args, cursor_factory=KeepingCursor, **kwargs)
    made.adapters.register_dumper(list, _Array)
    made._prepared = _Lasting()
    made.prepared_max = MOST_PREPARED
    return made
