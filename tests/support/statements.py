"""Statements that are compiled once in a process: every test has an engine of its own, and compiling anew was a tenth of its time."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

_compiled: LRUCache[object, object] = LRUCache(5000)


def _alike(one: object, other: object) -> bool:
    return type(one) is type(other)


def _hash(one: object) -> int:
    return hash(type(one))


def compile_once(engine: Engine) -> None:
    """Let an engine share what others have compiled. Its dialect, a part of the cache's keys, equals every other of its kind."""
    for dialect in (PGDialect_psycopg, SQLiteDialect_pysqlite):
        dialect.__eq__, dialect.__hash__ = _alike, _hash  # type: ignore[method-assign, assignment]  # for tests alone
    engine._compiled_cache = _compiled  # type: ignore[assignment]  # its own type is narrower
