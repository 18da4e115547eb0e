"""Insert many rows at once: by COPY on PostgreSQL, where triggers and constraints hold as for any INSERT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, cast

import psycopg
from sqlalchemy import Connection, Table, insert
from sqlalchemy.orm import Session

from sifilma.kernel.db import Base
from sifilma.kernel.statements.prepared import faults

COPIED_AT_LEAST = 20
"""Rows from which COPY is worth its round trips."""


def table_of(model: type[Base]) -> Table:
    """Return the table of a model."""
    return cast(Table, model.__table__)


def insert_all(session: Session, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of plain values, which all name the same columns. Defaults of the model are not filled in. Raise DBAPIError."""
    if not rows:
        return
    connection = session.connection()
    if connection.dialect.name != "postgresql" or len(rows) < COPIED_AT_LEAST:
        connection.execute(insert(table), list(rows))
        return
    names = list(rows[0])
    with faults(connection):
        _copy(connection, table, names, ([row[name] for name in names] for row in rows))


def _copy(connection: Connection, table: Table, names: Sequence[str], rows: Iterable[list[Any]]) -> None:
    quoted = ", ".join(connection.dialect.identifier_preparer.quote(name) for name in names)
    text = f"COPY {table.name} ({quoted}) FROM STDIN"
    processes = [(at, found) for at, name in enumerate(names) if (found := _processor(connection, table, name)) is not None]
    if connection._has_events or connection.engine._has_events:
        connection.dispatch.before_cursor_execute(connection, None, text, None, None, True)
    with closing(cast(psycopg.Cursor[Any], connection.connection.cursor())) as cursor, cursor.copy(text) as copy:
        for row in rows:
            for at, process in processes:
                row[at] = process(row[at])
            copy.write_row(row)


def _processor(connection: Connection, table: Table, name: str) -> Any:
    return table.c[name].type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
