"""Compiles each SQL statement once in a process: every test has an engine of its own, and compiling again took a tenth of its time."""

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
    """Let an engine use the statements that other engines have compiled.

    The dialect is a part of the cache's keys; dialects of one class are made equal, so that the keys of two engines match.
    """
    for dialect in (PGDialect_psycopg, SQLiteDialect_pysqlite):
        dialect.__eq__, dialect.__hash__ = _alike, _hash  # type: ignore[method-assign, assignment]  # only in tests
    engine._compiled_cache = _compiled  # type: ignore[assignment]  # its own type is narrower
