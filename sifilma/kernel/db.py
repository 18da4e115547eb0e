"""Engines, the declarative base and column types for SQLite and PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import psycopg
from flask_sqlalchemy_lite import SQLAlchemy
from psycopg import errors as pg_errors
from psycopg._preparing import PrepareManager
from psycopg._queries import PostgresQuery, _query2pg_nocache
from psycopg.pq import TransactionStatus
from sqlalchemy import (
    JSON,
    ColumnElement,
    DateTime,
    Dialect,
    Engine,
    MetaData,
    String,
    TypeDecorator,
    Uuid,
    and_,
    any_,
    bindparam,
    create_engine,
    event,
    func,
    inspect,
    literal,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import URL, CursorResult, ExceptionContext, Result, make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.exc import StaleDataError

from sifilma.kernel import deadline
from sifilma.kernel.outages import is_lost

# Migrations drop and alter constraints by name. Without a convention each database would choose its own names.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
LARGEST_INTEGER = 2**31 - 1  # of PostgreSQL's INTEGER
POOL_TIMEOUT = 3.0  # seconds to wait for a free connection
LEAST_TO_CONNECT = 0.05  # seconds that must be left to open a new connection
PING_AFTER = 1.0  # seconds without use after which a connection is checked
# Both lie below the default request deadline of 10 s, so that PostgreSQL itself ends a statement before the client gives up.
STATEMENT_TIMEOUT_MS = 8_000
LOCK_TIMEOUT_MS = 3_000
_READS = ("SELECT", "WITH", "(SELECT")
_FOR_ALL = "SET LOCAL plan_cache_mode = force_generic_plan"
MOST_PREPARED = 250
"""Statements that a connection has prepared; those that were not used longest go. PostgreSQL holds 0.1 to 2.6 MB for each."""
LONGEST_KEPT = 65_536  # characters of a statement whose form for PostgreSQL is kept
WRITTEN_TOGETHER = 1000  # rows whose changes are on their way to the database at a time


class UtcDateTime(TypeDecorator[datetime]):
    """A moment with a time zone, in UTC. SQLite stores no zone, so it is removed before writing and added after reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """Return the Python type of a value read."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert the moment to UTC. Raise ValueError if it has no time zone: it could mean any moment within a day."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the moment with its zone, UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Json = JSON().with_variant(JSONB(), "postgresql")


class Base(DeclarativeBase):
    """The declarative base: one naming convention for constraints, and one column type per Python type."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime, UUID: Uuid(), dict[str, Any]: Json, str: String()}  # noqa: RUF012


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


class Database(SQLAlchemy):
    """The extension without its sessions: it has the engines, the unit of work has the session of a request."""

    def init_app(self, app: Any) -> None:  # the kernel knows no Flask
        """Make the engines of an application, and take back the teardowns that the extension registers; those of others stay.

        They close the extension's own sessions, which nobody opens here. Its asynchronous one costs a thread and an event loop at
        every request.
        """
        kept = list(app.teardown_appcontext_funcs)
        super().init_app(app)
        app.teardown_appcontext_funcs[:] = kept


db = Database()


def normalise_url(url: str) -> URL:
    """Return the URL with the driver this project uses. Accepts `postgresql://…`, `postgres://…` and `sqlite:///…`."""
    parsed = make_url(url)
    if parsed.get_backend_name() in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def engine_options(url: str | URL, *, pool_size: int = 10) -> dict[str, Any]:
    """Return the keyword arguments of `create_engine` for this URL, with pool and time-outs."""
    url = normalise_url(str(url)) if isinstance(url, str) else url
    # No overflow: the pool's size is the number of connections that an operator has allowed a process.
    options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": POOL_TIMEOUT}
    if url.get_backend_name() == "sqlite":
        # The pool gives a connection to one thread at a time, but not always to the thread that opened it.
        return options | {"connect_args": {"timeout": 3.0, "check_same_thread": False}}
    # Without JIT and parallel workers: both take longer to start than our statements take, whose cost PostgreSQL overestimates where they
    # have many parts.
    settings = f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS} -c timezone=UTC"
    settings += " -c jit=off -c max_parallel_workers_per_gather=0"
    # The connection that was used last is taken first: it has the statements prepared.
    return options | {"pool_recycle": 1800, "pool_use_lifo": True, "connect_args": {"connect_timeout": 3, "options": settings}}


def make_engine(url: str | URL, *, pool_size: int = 10) -> Engine:
    """Return an engine for use outside the application (migrations, tests). It behaves as the application's does."""
    url = normalise_url(str(url)) if isinstance(url, str) else url
    return prepare_engine(create_engine(url, **engine_options(url, pool_size=pool_size)))


def prepare_engine(engine: Engine) -> Engine:
    """Attach the listeners that every connection of this project needs, and return the engine. Calling it twice is harmless."""
    if engine.dialect.name == "sqlite":
        hooks: list[tuple[str, Callable[..., Any]]] = [
            ("connect", _sqlite_connect),
            ("begin", _sqlite_begin),
            ("checkin", _sqlite_end),
        ]
    else:
        hooks = [("do_connect", _deadline_connect), ("checkin", _note_use), ("checkout", _ping_when_idle), ("handle_error", _drop_lost)]
    for name, hook in hooks:
        if not event.contains(engine, name, hook):
            event.listen(engine, name, hook)
    return engine


def hold(session: Session, row: Base) -> None:
    """Lock a row until the transaction ends, and read it again, since others may have changed it meanwhile.

    Others that lock it wait. SQLite has no FOR UPDATE and needs none: BEGIN IMMEDIATE lets one writer in at a time.
    """
    session.refresh(row, with_for_update={"of": type(row)})


def among(session: Session, column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """Return the condition that a column (text, number or UUID) has one of many values.

    They are one parameter: a statement takes 65,535 at most, and each would be compiled anew.
    """
    if session.get_bind().dialect.name == "postgresql":
        return cast("ColumnElement[bool]", column == any_(literal(list(values), postgresql.ARRAY(column.type))))
    plain = json.dumps([value.hex if isinstance(value, UUID) else value for value in values])
    return cast("ColumnElement[bool]", column.in_(select(type_coerce(func.json_each(plain).table_valued("value").c.value, column.type))))


def one_of(session: Session, column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """Return the condition of `among`, for a column that has an index of its parts (trigrams) besides.

    PostgreSQL takes that one for an array of values, at a cost that it does not foresee: minutes for thousands of them.
    """
    if session.get_bind().dialect.name == "postgresql":
        sent = func.unnest(literal(list(values), postgresql.ARRAY(column.type)))
        return cast("ColumnElement[bool]", column.in_(select(type_coerce(sent, column.type))))
    return among(session, column, values)


def by_index_only(session: Session) -> None:
    """Have the statements of this transaction, and its triggers, look single rows up (PostgreSQL): for sets of rows among very many.

    A plan that was made while a table was small would read all of it at every row, until the table is analysed.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)"))


def write_all(session: Session, rows: Sequence[Any]) -> None:
    """Write what changed of rows that are stored already, all of one class with a `revision`, in one round trip for each set of columns.

    A flush sends one UPDATE after the other and waits for each, because it compares the revision of each. Here the sum is compared: raise
    StaleDataError if somebody else has changed one. Rows without a change are passed over.
    """
    lots: dict[frozenset[str], list[Any]] = {}
    for row in rows:
        if names := frozenset(inspect(row).committed_state):
            lots.setdefault(names, []).append(row)
    for names, lot in lots.items():
        table = type(lot[0]).__table__
        is_as_read = and_(table.c.id == bindparam("_id"), table.c.revision == bindparam("_revision"))
        statement = update(table).where(is_as_read).values(revision=table.c.revision + 1, **{name: bindparam(name) for name in names})
        for start in range(0, len(lot), WRITTEN_TOGETHER):
            part = lot[start : start + WRITTEN_TOGETHER]
            values = [{"_id": row.id, "_revision": row.revision} | {name: getattr(row, name) for name in names} for row in part]
            if changed(session.connection().execute(statement, values)) != len(part):
                raise StaleDataError(f"of {len(part)} rows of {table.name} some were changed meanwhile")
        for row in lot:
            for name in names:
                set_committed_value(row, name, getattr(row, name))
            set_committed_value(row, "revision", row.revision + 1)


def upsert(session: Session, table: type[Base]) -> postgresql.Insert:
    """An INSERT into `table` that takes `on_conflict_do_nothing` or `on_conflict_do_update`, in the dialect of the session's database.

    Core's INSERT has no such clause; the two dialects have one each, with the same methods, so the type named is PostgreSQL's.
    """
    return postgresql.insert(table) if session.get_bind().dialect.name == "postgresql" else cast("postgresql.Insert", sqlite.insert(table))


def changed(result: Result[Any]) -> int:
    """Return the number of rows that an UPDATE or DELETE changed."""
    return cast("CursorResult[Any]", result).rowcount


def _deadline_connect(_dialect: Dialect, _record: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Connect, unless the deadline has passed. psycopg limits this wait by its own clock, in whole seconds."""
    left = deadline.remaining()
    if left is not None and left < LEAST_TO_CONNECT:
        raise psycopg.OperationalError("no time is left to connect to the database")
    made = DeadlineConnection.connect(*args, cursor_factory=KeepingCursor, **kwargs)
    made._prepared = _Lasting()
    made.prepared_max = MOST_PREPARED
    return made


def _note_use(_connection: Any, record: Any) -> None:
    record.info["used_at"] = time.monotonic()


def _ping_when_idle(connection: Any, record: Any, _proxy: Any) -> None:
    """Check a connection that was idle for longer than PING_AFTER. A dead one and all older ones are replaced (InvalidatePoolError).

    SQLAlchemy's pre-ping would check at every checkout. A request that checks out twice pays for one check at most. A connection made a
    moment ago has not been used yet and needs no check.
    """
    used_at = record.info.get("used_at")
    if used_at is not None and time.monotonic() - used_at > PING_AFTER:
        try:
            connection.execute("SELECT 1")
            connection.commit()
        except psycopg.Error as dead:
            raise InvalidatePoolError() from dead


def _drop_lost(context: ExceptionContext) -> None:
    """Have the pool drop its connections after a fault that none of them outlives, though the driver still takes this one for sound.

    A pooler that reports a crashed server, or a server that shuts down, does so before it closes the connection.
    """
    if is_lost(context.original_exception):
        context.is_disconnect = True


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # _sqlite_begin begins transactions, not the driver
    # WAL: readers and the writer do not block each other. FULL: an acknowledged commit survives a power failure.
    # trusted_schema=OFF: the schema of a tampered file cannot call functions with side effects.
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=3000", "synchronous=FULL", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Any) -> None:
    """Begin IMMEDIATE for writers: they take the write lock at once, so no deadlock can arise by upgrading a read lock.

    Readers stay deferred and never wait for a writer (WAL).
    """
    read_only = connection.get_execution_options().get("sifilma_read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _sqlite_end(connection: Any, _record: Any) -> None:
    """End a transaction whose COMMIT has failed (a full disk): SQLite keeps it open with its locks, SQLAlchemy takes it for ended."""
    if connection is not None and connection.in_transaction:
        connection.rollback()
