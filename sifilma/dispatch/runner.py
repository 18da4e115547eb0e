"""Run a chore, or give an object a turn: the same on both dispatchers, with what became of it noted for the operators.

A fault of one chore stops neither the others nor its next run. An object whose turns fail again and again is given up, and named.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError

from hsm.errors import HSMError
from sifilma.dispatch.contract import LONGEST_PAUSE, MOST_TRIES, SHORTEST_PAUSE, Chores, Turn
from sifilma.dispatch.models import WorkRun
from sifilma.dispatch.outages import outage_of
from sifilma.kernel.context import Context
from sifilma.kernel.db import upsert
from sifilma.kernel.errors import SifilmaError

EXPECTED = (SifilmaError, HSMError, SQLAlchemyError, OSError)
"""Faults of a chore that explain themselves. All others are logged with their trace."""
NOTED_EVERY = 60.0
"""Seconds between two notes of a chore that finds nothing to do."""
PAUSES_READ_EVERY = 5.0
WHILE_PAUSED = 10.0
"""Seconds after which a turn that may not be taken now (paused, or the clock is not trusted) is tried again."""
log = structlog.get_logger()
Contexts = Callable[[], AbstractContextManager[Context]]


class GivenUp(Exception):
    """The turns of an object failed too often. It is tried again when somebody says so."""


class Runner:
    """Runs chores in this process. `is_trusted` says whether the clock may be trusted."""

    def __init__(self, chores: Chores, contexts: Contexts, is_trusted: Callable[[], bool]) -> None:
        self.chores, self.contexts = chores, contexts
        self._is_trusted = is_trusted
        self._noted: dict[str, float] = {}
        self._failing: set[str] = set()
        self._paused: frozenset[str] = frozenset()
        self._paused_read = 0.0

    def run(self, name: str, *, quiet: bool = False) -> int | None:
        """Run a chore. Return its count, or None if it failed, is paused, or goes by a clock that is not trusted: the worker goes on.

        `quiet`: note only what was done and what failed.
        """
        chore = self.chores[name]
        if self.is_paused(name) or (chore.goes_by_the_clock and not self._is_trusted()):
            return None
        began = time.monotonic()
        try:
            count = chore.run()
        except Exception as caught:  # noqa: BLE001  # the worker's edge
            fault = caught
            tell(name, fault)
            self._failing.add(name)
            self._note(lambda ctx: _failed(ctx, name, "", time.monotonic() - began, fault))
            return None
        is_due = not quiet and began - self._noted.get(name, 0.0) >= NOTED_EVERY
        if name in self._failing or is_due or (count and not quiet):
            self._failing.discard(name)
            self._noted[name] = began
            self._note(lambda ctx: _done(ctx, name, time.monotonic() - began, count))
        return count

    def turn(self, name: str, subject: UUID) -> Turn:
        """Give an object a turn. Raise GivenUp after MOST_TRIES failed ones. What is an outage is no try."""
        chore = self.chores[name]
        assert chore.turn is not None  # noqa: S101  # only such chores are enqueued
        if self.is_paused(name) or (chore.goes_by_the_clock and not self._is_trusted()):
            return Turn(0, WHILE_PAUSED)
        began = time.monotonic()
        try:
            done = chore.turn(subject)
        except Exception as caught:  # noqa: BLE001  # the worker's edge
            fault = caught
        else:
            self._note(lambda ctx: _forget(ctx, name, str(subject)))
            return done
        if outage_of(fault):
            log.warning("work waits", chore=name, subject=str(subject), fault=type(fault).__name__)
            return Turn(0, SHORTEST_PAUSE)
        tell(name, fault, subject=str(subject))
        failures = self._note(lambda ctx: _failed(ctx, name, str(subject), time.monotonic() - began, fault)) or 1
        if failures >= MOST_TRIES:
            log.error("work_given_up", chore=name, subject=str(subject), failures=failures)
            raise GivenUp from fault
        return Turn(0, min(SHORTEST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE))

    def is_paused(self, name: str) -> bool:
        """Return whether operators have paused a chore. What was read a moment ago counts."""
        now = time.monotonic()
        if now - self._paused_read >= PAUSES_READ_EVERY:
            self._paused_read = now
            self._note(self._read_pauses)
        return name in self._paused

    def _read_pauses(self, ctx: Context) -> None:
        ctx.uow.begin_read()
        self._paused = frozenset(ctx.session.scalars(select(WorkRun.chore).where(WorkRun.subject == "", WorkRun.paused_at.is_not(None))))

    def _note(self, write: Callable[[Context], Any]) -> Any:
        """Write in a transaction of its own. Without the database the work goes on, and nothing is noted."""
        try:
            with self.contexts() as ctx:
                return write(ctx)
        except SQLAlchemyError as fault:
            log.warning("run_not_noted", fault=type(fault).__name__)
            return None


def tell(name: str, fault: Exception, **more: str) -> None:
    """Log the fault of a chore."""
    log.error("job_failed", job=name, fault=str(fault), exc_info=None if isinstance(fault, EXPECTED) else fault, **more)


def _row(ctx: Context, name: str, seconds: float) -> dict[str, Any]:
    seen = {"node": platform.node()[:100], "began_at": ctx.now - timedelta(seconds=seconds), "ended_at": ctx.now, "seconds": seconds}
    return {"chore": name} | seen


def _done(ctx: Context, name: str, seconds: float, count: int) -> None:
    row = _row(ctx, name, seconds) | {"subject": "", "count": count, "failures": 0, "error": ""}
    new = upsert(ctx.session, WorkRun).values(**row)
    ctx.session.execute(new.on_conflict_do_update(index_elements=["chore", "subject"], set_=row))


def _failed(ctx: Context, name: str, subject: str, seconds: float, fault: Exception) -> int:
    """Note a failed run or turn. Return the number of those one after the other."""
    row = _row(ctx, name, seconds) | {"subject": subject, "count": 0, "error": f"{type(fault).__name__}: {fault}"[:300]}
    new = upsert(ctx.session, WorkRun).values(**row, failures=1)
    failures = int(
        ctx.session.execute(
            new.on_conflict_do_update(index_elements=["chore", "subject"], set_=row | {"failures": WorkRun.failures + 1}).returning(
                WorkRun.failures
            )
        ).scalar_one()
    )
    if subject and failures >= MOST_TRIES:
        ctx.session.get_one(WorkRun, (name, subject), populate_existing=True).gave_up_at = ctx.now
        ctx.session.flush()
    return failures


def _forget(ctx: Context, name: str, subject: str) -> None:
    gone = delete(WorkRun).where(WorkRun.chore == name, WorkRun.subject == subject)
    ctx.session.execute(gone.execution_options(synchronize_session=False))
