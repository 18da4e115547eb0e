"""What an act has changed in the database: every row of every table, before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, Table

from sifilma.schema.tables import METADATA

UNWATCHED = frozenset({"region", "login_session", "idempotency_key", "failed_request"})
"""Region codes, of which no act writes one; what every request touches; what `Exchange` (nth_failures.py) looks at itself."""
TABLES = [table for table in METADATA.sorted_tables if table.name not in UNWATCHED]
IGNORED = frozenset({"last_used_at", "last_used_ip", "changed_at"})
"""Columns of moments: of an API key's use, which is no act, and of a change that other columns show."""

Snapshot = dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]
"""For each table, its rows by primary key."""

Delta = Counter[str]
"""How many rows were added, removed and changed (in which columns), by table. Ids and moments differ from run to run, this does not."""


def taken(engine: Engine) -> Snapshot:
    """Return every row as the driver gives it."""
    with engine.connect().execution_options(sifilma_read_only=True) as connection:
        return {table.name: dict(_rows(connection, table)) for table in TABLES}


def _rows(connection: Connection, table: Table) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    columns = [column for column in table.columns if column.name not in IGNORED]
    names = ", ".join(f'"{column.name}"' for column in columns)
    keys = [index for index, column in enumerate(columns) if column.primary_key]
    for row in connection.exec_driver_sql(f'SELECT {names} FROM "{table.name}"'):
        yield tuple(row[index] for index in keys), tuple(row)


def delta(before: Snapshot, after: Snapshot) -> Delta:
    """Return what changed between two snapshots."""
    found = Delta()
    for table in TABLES:
        old, new = before[table.name], after[table.name]
        found[f"{table.name}: added"] = len(new.keys() - old.keys())
        found[f"{table.name}: removed"] = len(old.keys() - new.keys())
        names = [column.name for column in table.columns if column.name not in IGNORED]
        for key in old.keys() & new.keys():
            if old[key] != new[key]:
                columns = [name for name, was, became in zip(names, old[key], new[key], strict=True) if was != became]
                found[f"{table.name}: changed {', '.join(columns)}"] += 1
    return +found  # without zeros
