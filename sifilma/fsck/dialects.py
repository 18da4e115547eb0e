"""What checks need of SQLAlchemy Core beside its own words: tables without their types, and expressions that the two databases spell apart.

A check is plain SQL where SQLite and PostgreSQL agree on every word of it, and Core where they do not.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, DateTime, FunctionElement, String, TableClause, column, func, or_, select, table, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from sifilma.kernel.db import Json
from sifilma.schema import tables

_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))


def bare(name: str) -> TableClause:
    """A table by its name, its columns without types: what is stored is read as it is, also where it is no UUID and no moment."""
    return table(name, *(column(one.name) for one in tables.METADATA.tables[name].columns))


def fact(data: ColumnElement[Any], name: str) -> ColumnElement[str]:
    """A fact of an act (`audit_entry.data`), as text."""
    text: ColumnElement[str] = type_coerce(data, Json)[name].as_string()
    return text


class dashed(FunctionElement[str]):  # noqa: N801  # read as a function of SQL
    """A UUID as text with dashes, as the record of acts names objects. SQLite stores 32 hexadecimal digits."""

    type = String()
    inherit_cache = True


class later(FunctionElement[Any]):  # noqa: N801  # read as a function of SQL
    """A moment and a number of seconds: the moment so much later. SQLite stores moments as text and compares them as such."""

    type = DateTime()
    inherit_cache = True


@compiles(dashed)
def _dashed(element: dashed, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS TEXT)"


@compiles(dashed, "sqlite")
def _dashed_by_parts(element: dashed, compiler: SQLCompiler, **options: Any) -> str:
    digits = compiler.process(element.clauses, **options)
    return "(" + " || '-' || ".join(f"substr({digits}, {at}, {length})" for at, length in _PARTS) + ")"


@compiles(later)
def _later(element: later, compiler: SQLCompiler, **options: Any) -> str:
    moment, seconds = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({moment} + make_interval(secs => {seconds}))"


@compiles(later, "sqlite")
def _later_as_text(element: later, compiler: SQLCompiler, **options: Any) -> str:
    moment, seconds = (compiler.process(clause, **options) for clause in element.clauses)
    return f"strftime('%Y-%m-%d %H:%M:%f', {moment}, '+' || {seconds} || ' seconds')"


# --- the record of acts ----------------------------------------------------------------------------------------------

KEPT = ("api_key.keep", "unit.key_keep")
"""Keys of programs and public keys of before there were rules for them, written down once by the migration that brought the rules."""
_old = bare("audit_entry").alias("old")
RULES_CAME = select(func.min(_old.c.at)).where(_old.c.action.in_(KEPT), _old.c.user_id.is_(None)).scalar_subquery()
"""The moment at which the rules for programs came to this installation; NULL where they were there from the first day."""


def newest_entry(kind: str, key: Any, *actions: str) -> Any:
    """A scalar query of the id of the newest entry of these actions about an object. Of what was kept only that moment counts."""
    word = bare("audit_entry").alias("word")
    query = select(word.c.id).where(word.c.object_kind == kind, word.c.object_id == dashed(key), word.c.action.in_(actions))
    query = query.where(or_(word.c.action.not_in(KEPT), word.c.at == RULES_CAME))
    return query.order_by(word.c.id.desc()).limit(1).scalar_subquery()
