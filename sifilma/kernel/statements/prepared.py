"""Core statements that are compiled once: those of an activation, lists that are kept (`built_once`), and what many pages read by ids.

Executing a statement through SQLAlchemy costs 200-300 µs, through this module 60-100 µs. Values go through the same type processors,
listeners see every statement, and errors are SQLAlchemy's. Left out are the look-up in the statement cache and the description of
the rows, which SQLAlchemy repeats at each execution.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Connection, Executable, Float
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from sifilma.kernel.outages import is_lost

Processor = Callable[[Any], Any]
ONE_PLAN = "/* one plan */"
"""What follows the first word of a statement that is planned once, for whatever values: in what the database shows of it, too."""


@dataclass(frozen=True)
class _Compiled:
    """The SQL for one dialect. `order` names the parameters by position where the dialect takes them so (SQLite).

    `calls` are made at each execution for the values of parameters (`bindparam(callable_=…)`). `changed` are the columns, by position,
    whose values the driver does not give as they are.
    """

    text: str
    literals: dict[str, Any]
    calls: dict[str, Callable[[], Any]]
    binds: dict[str, Processor]
    order: tuple[str, ...] | None
    row: Any
    gives_rows: bool
    changed: tuple[tuple[int, Processor], ...]


class Prepared:
    """A statement with bound parameters, for PostgreSQL and SQLite. It takes no exact NUMERIC columns, and no `IN` lists as values.

    `one_plan`: PostgreSQL plans it once, for whatever values (`KeepingCursor.execute_for_all`). Its constants then stand in the text, lists
    of them too: the plan knows them, and partial indexes serve. `own_plan`: PostgreSQL plans it at each execution, for its values.
    """

    def __init__(self, statement: Executable, *, one_plan: bool = False, own_plan: bool = False) -> None:
        self.statement, self.one_plan = statement, one_plan
        self.way = "execute_for_all" if one_plan else "execute" if own_plan else "execute_kept"
        """The method of the cursor (`KeepingCursor`) that executes it."""
        self._compiled: dict[str, _Compiled] = {}

    def first(self, session: Session, values: dict[str, Any]) -> Any:
        """Run the statement in the session's transaction. Return the first row as a named tuple, or None without a row or RETURNING.

        Raise DBAPIError as SQLAlchemy does.
        """
        connection = session.connection()
        made = self.compiled(connection.dialect)
        with faults(connection), closing(_cursor(connection)) as cursor:
            _send(connection, cursor, made, values, self.way)
            return _row(cursor, made)

    def all(self, session: Session, values: dict[str, Any]) -> list[Any]:
        """Run the statement as `first` does. Return every row as a named tuple."""
        connection = session.connection()
        made = self.compiled(connection.dialect)
        with faults(connection), closing(_cursor(connection)) as cursor:
            _send(connection, cursor, made, values, self.way)
            return [_named(found, made) for found in cursor.fetchall()] if made.changed else [*map(made.row._make, cursor.fetchall())]

    def read(self, session: Session, values: dict[str, Any]) -> list[Any]:
        """Run the statement as `all` does, after what the session has changed is written, as a read through SQLAlchemy would."""
        session.flush()
        return self.all(session, values)

    def compiled(self, dialect: Dialect) -> _Compiled:
        """Return the compiled statement for one dialect, compiled at the first use."""
        made = self._compiled.get(dialect.name)
        if made is None:
            made = self._compiled[dialect.name] = _compile(self.statement, dialect, constant=self.one_plan)
        return made


Step = tuple[Prepared, dict[str, Any]]


def run_all(session: Session, steps: Sequence[Step]) -> int | None:
    """Run writes in their order. On PostgreSQL they are sent together (libpq's pipeline mode), so the client waits once.

    Return None if all succeeded, else the index of the first step with RETURNING that changed no row. Later steps then do not count: the
    caller refuses, and the transaction is rolled back. Raise DBAPIError as SQLAlchemy does.
    """
    connection = session.connection()
    made = [(step.compiled(connection.dialect), values) for step, values in steps]
    if connection.dialect.name != "postgresql":
        return _one_by_one(connection, made)
    # One cursor per statement: each keeps its own result, which tells what touched a row.
    cursors = [_cursor(connection) for _ in made]
    try:
        with faults(connection), connection.connection.dbapi_connection.pipeline():  # type: ignore[union-attr]  # psycopg's
            for cursor, (statement, values) in zip(cursors, made, strict=True):
                _send(connection, cursor, statement, values)
    except IntegrityError:
        missing = _first_without_row(cursors, made)
        if missing is None:
            raise
        return missing  # a later statement failed because this one changed no row
    return _first_without_row(cursors, made)


def _one_by_one(connection: Connection, made: Sequence[tuple[_Compiled, dict[str, Any]]]) -> int | None:
    for index, (statement, values) in enumerate(made):
        with faults(connection), closing(_cursor(connection)) as cursor:
            _send(connection, cursor, statement, values)
            if statement.gives_rows and cursor.fetchone() is None:
                return index
    return None


def _first_without_row(cursors: Sequence[Any], made: Sequence[tuple[_Compiled, dict[str, Any]]]) -> int | None:
    for index, (cursor, (statement, _)) in enumerate(zip(cursors, made, strict=True)):
        if cursor.pgresult is None:  # not executed: an earlier statement aborted the pipeline
            return None
        if statement.gives_rows and cursor.rowcount == 0:
            return index
    return None


def _compile(statement: Executable, dialect: Dialect, *, constant: bool) -> _Compiled:
    compiler = _with_constants(dialect.statement_compiler) if constant else dialect.statement_compiler
    compiled: SQLCompiler = compiler(dialect, statement)  # type: ignore[arg-type]  # every ClauseElement is an Executable here
    binds = {name: bind for bind, name in compiled.bind_names.items() if name in compiled.binds}
    columns = list(compiled._result_columns or ())
    return _Compiled(
        text=compiled.string.replace(" ", f" {ONE_PLAN} ", 1) if constant else compiled.string,
        literals={name: bind.value for name, bind in binds.items() if not bind.required and bind.callable is None},
        calls={name: bind.callable for name, bind in binds.items() if bind.callable is not None},
        binds={name: process for name in binds if (process := compiled._bind_processors.get(name)) is not None},  # type: ignore[misc]  # tuples belong to expanding ones
        order=tuple(compiled.positiontup) if compiled.positiontup else None,
        row=namedtuple("Row", [entry.keyname for entry in columns], rename=True),
        gives_rows=bool(columns),
        changed=tuple((at, change) for at, entry in enumerate(columns) if (change := _from_row(entry.type, dialect)) is not None),
    )


def _from_row(kind: TypeEngine[Any], dialect: Dialect) -> Processor | None:
    if isinstance(kind, Float):
        return None  # both drivers give a float; SQLAlchemy would ask what type the row has
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _with_constants(compiler: type[SQLCompiler]) -> type[SQLCompiler]:
    """Return a compiler that writes texts and numbers that are always the same into the statement."""

    class WithConstants(compiler):  # type: ignore[misc, valid-type]  # the dialect says which
        def visit_bindparam(self, bindparam: BindParameter[Any], **more: Any) -> str:
            if is_constant(bindparam):
                more["literal_binds"] = True
            return str(super().visit_bindparam(bindparam, **more))

    return WithConstants


def is_constant(bind: BindParameter[Any]) -> bool:
    """Return whether the value of a parameter is always the same, and one that can stand in a statement."""
    if bind.required or bind.callable is not None:
        return False
    each = (bind.value or ()) if bind.expanding else [bind.value]
    return all(isinstance(value, str | int | UUID) for value in each)


def _cursor(connection: Connection) -> Any:
    return connection.connection.cursor()


def _send(connection: Connection, cursor: Any, made: _Compiled, values: dict[str, Any], way: str = "execute_kept") -> None:
    parameters: Any = made.literals | {name: call() for name, call in made.calls.items()} | values
    for name, process in made.binds.items():
        parameters[name] = process(parameters[name])
    if made.order is not None:
        parameters = tuple(parameters[name] for name in made.order)
    if connection._has_events or connection.engine._has_events:
        connection.dispatch.before_cursor_execute(connection, cursor, made.text, parameters, None, False)
    getattr(cursor, way, cursor.execute)(made.text, parameters)  # SQLite's has no other


def _row(cursor: Any, made: _Compiled) -> Any:
    found = cursor.fetchone() if made.gives_rows else None
    if found is None:
        return None
    return _named(found, made)


def _named(found: Sequence[Any], made: _Compiled) -> Any:
    values = list(found)
    for at, process in made.changed:
        values[at] = process(values[at])
    return made.row._make(values)


@contextmanager
def faults(connection: Connection) -> Iterator[None]:
    """Raise the driver's errors as SQLAlchemy's, and invalidate a broken connection so that the pool drops it."""
    dialect, driver = connection.dialect, connection.connection
    try:
        yield
    except dialect.loaded_dbapi.Error as fault:
        broken = dialect.is_disconnect(fault, driver.dbapi_connection, None) or is_lost(fault)
        if broken:
            connection.engine.pool._invalidate(driver, fault, _checkin=False)  # the others of the pool are as dead
            connection.invalidate(fault)
        error = DBAPIError.instance("", None, fault, dialect.loaded_dbapi.Error, connection_invalidated=broken, dialect=dialect)
        raise error from fault
