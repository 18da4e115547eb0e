"""The edge of a command: it opens one unit of work and commits it when the command succeeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sifilma.kernel.actor import SYSTEM
from sifilma.kernel.context import Context
from sifilma.kernel.db import db
from sifilma.kernel.ids import uuid7
from sifilma.kernel.unit_of_work import UnitOfWork
from sifilma.resources import resources


@contextmanager
def command_context() -> Iterator[Context]:
    """Give a writing Context with the system as actor. It is committed at the end of the block, and rolled back by any error."""
    unit = UnitOfWork(db.sessionmaker)
    held = resources()
    try:
        yield Context(unit, held.clock, SYSTEM, str(uuid7()), held.watch)
        if unit.in_transaction:
            unit.commit()
    finally:
        unit.close()
