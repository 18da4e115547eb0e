"""Engines, the declarative base and column types for SQLite and PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import psycopg
from flask_sqlalchemy_lite import SQLAlchemy
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

from sifilma.kernel.outages import is_lost
from sifilma.kernel.statements.driver import connect

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
PING_AFTER = 1.0  # seconds without use after which a connection is checked
# Both lie below the default request deadline of 10 s, so that PostgreSQL itself ends a statement before the client gives up.
STATEMENT_TIMEOUT_MS = 8_000
LOCK_TIMEOUT_MS = 3_000
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
        hooks = [("do_connect", connect), ("checkin", _note_use), ("checkout", _ping_when_idle), ("handle_error", _drop_lost)]
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
