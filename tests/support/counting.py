"""Counts the statements, commits and connections that reach the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine


@dataclass
class Counted:
    """The statements in their order (without BEGIN), the number of commits, and the number of new connections."""

    statements: list[str] = field(default_factory=list)
    commits: int = 0
    connections: int = 0


@contextmanager
def counted(engine: Engine) -> Iterator[Counted]:
    """Count what goes through the engine within the block."""
    found = Counted()

    def statement(_c: Any, _cursor: Any, text: str, *_more: Any) -> None:
        if not text.startswith("BEGIN"):
            found.statements.append(text)

    def commit(_c: Any) -> None:
        found.commits += 1

    def connect(_c: Any, _r: Any) -> None:
        found.connections += 1

    listeners = (("before_cursor_execute", statement), ("commit", commit), ("connect", connect))
    for name, listener in listeners:
        event.listen(engine, name, listener)
    try:
        yield found
    finally:
        for name, listener in listeners:
            event.remove(engine, name, listener)
