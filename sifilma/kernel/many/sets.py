"""A statement for one row, made into one for a set of rows: each parameter becomes a column of what is sent.

The conditions are those of the statement for one row, since they are made from it. PostgreSQL only: SQLite has neither arrays nor LATERAL.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, Executable, Select, String, TableValuedAlias, bindparam, column, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.types import TypeEngine

from sifilma.kernel.statements.prepared import Prepared

Rows = Sequence[Mapping[str, Any]]


class WriteSet:
    """An UPDATE of one row with RETURNING, as one for a set of rows, each of another row."""

    def __init__(self, one: Prepared) -> None:
        self._one = one

    @cached_property
    def _all(self) -> tuple[tuple[str, ...], Prepared]:
        names, _, statement = _over(self._one.statement)
        return names, Prepared(statement)

    def write(self, session: Session, rows: Rows) -> bool:
        """Return whether each of the rows changed one. If not, the caller refuses, and the transaction is rolled back."""
        names, statement = self._all
        return len(statement.all(session, _columns(names, rows))) == len(rows)


class ReadSet:
    """A SELECT of one row at most, as one for a set of keys. `names` are the parameters that each key has; others are the same for all."""

    def __init__(self, one: Prepared, *names: str) -> None:
        self._one, self._names = one, names

    @cached_property
    def _all(self) -> tuple[tuple[str, ...], Prepared]:
        names, sent, statement = _over(self._one.statement, self._names)
        assert isinstance(statement, Select)  # noqa: S101  # it reads
        found = statement.add_columns(true().label("is_found")).lateral("found")
        return names, Prepared(select(*found.c).select_from(sent.outerjoin(found, true())).order_by(sent.c.n))

    def read(self, session: Session, keys: Rows, values: Mapping[str, Any]) -> list[Any]:
        """Return what is found for each key, in their order: a named tuple, or None."""
        names, statement = self._all
        return [row if row.is_found else None for row in statement.all(session, _columns(names, keys) | dict(values))]


def _over(statement: Executable, wanted: Collection[str] = ()) -> tuple[tuple[str, ...], TableValuedAlias, Executable]:
    """Return the names of what is sent, it as a table whose `n` counts its rows, and the statement over it."""
    types: dict[str, TypeEngine[Any]] = {}
    for part in visitors.iterate(statement):  # type: ignore[arg-type]  # every ClauseElement can be walked
        if isinstance(part, BindParameter) and part.required and (not wanted or part.key in wanted):
            types.setdefault(part.key, _whole(part.type))
    arrays = [bindparam(name, type_=ARRAY(kind)) for name, kind in types.items()]
    columns: list[ColumnElement[Any]] = [column(name, kind) for name, kind in types.items()]
    sent = func.unnest(*arrays).table_valued(*columns, with_ordinality="n").render_derived(name="sent")

    def instead(part: Any, **_: Any) -> Any:
        return sent.c[part.key] if isinstance(part, BindParameter) and part.key in types else None

    return tuple(types), sent, visitors.replacement_traverse(statement, {}, instead)  # type: ignore[call-overload]  # every statement can be walked


def _whole(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type without a length: a cast to one with a length would cut what is longer, and find what was not asked for."""
    return String() if isinstance(kind, String) else kind


def _columns(names: Sequence[str], rows: Rows) -> dict[str, Any]:
    return {name: [row[name] for row in rows] for name in names}
