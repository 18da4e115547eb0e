"""Look at what goes by time: whether the worker gives signs of life, whether the clock is trusted, what the last look at keys found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from sifilma.kernel.db import db
from sifilma.kernel.timekeeping import stops
from sifilma.kernel.timekeeping.stops import SILENT
from sifilma.kernel.timekeeping.watch import Finding
from sifilma.kernel.unit_of_work import UnitOfWork
from sifilma.resources import Resources, resources


@dataclass(frozen=True)
class Alarm:
    """What operators are told on their home page: seconds since the worker's last sign of life (None: never), why the clock is doubted, and
    the labels of keys that differ from their record, and those of HSMs that are out while the other one works.
    """

    is_worker_silent: bool
    worker_age: float | None
    clock: Finding | None
    keys: list[str]
    out: list[str]


def check_worker() -> dict[str, Any]:
    """Check that a worker gave a sign of life lately. A process that serves since less than SILENT seconds waits for the first."""
    try:
        with _reading() as session:
            age = stops.worker_age(session, resources().watch)
    except SQLAlchemyError as fault:
        return {"ok": False, "error": type(fault).__name__}
    return {"ok": not _is_silent(resources(), age), "age_seconds": None if age is None else round(age, 1)}


def check_clock() -> dict[str, Any]:
    """Check that the clock is trusted. `ahead_seconds` is negative for a clock that is behind."""
    found = _finding()
    if found is None:
        return {"ok": True}
    return {"ok": False, "reason": str(found.reason), "ahead_seconds": round(found.seconds, 1), "waits_for_people": found.waits}


def find_alarm(session: Session) -> Alarm | None:
    """Return what operators must know of worker, clock and keys, or None if all are well."""
    held = resources()
    age, found = stops.worker_age(session, held.watch), held.watch.look(session)
    is_silent = _is_silent(held, age)
    keys, out = sorted(held.hsm.wrong), sorted(held.hsm.out)
    return Alarm(is_silent, age, found, keys, out) if is_silent or found is not None or keys or out else None


def _finding() -> Finding | None:
    """Return why the clock is not trusted. While the database is away, only what this process knows is asked."""
    watch = resources().watch
    try:
        with _reading() as session:
            return watch.look(session)
    except SQLAlchemyError:
        return watch.finding()


def _is_silent(held: Resources, age: float | None) -> bool:
    now, started = held.clock.reading(), held.watch.started
    has_just_begun = now.boot_id == started.boot_id and now.elapsed - started.elapsed < SILENT
    return (age is None or age > SILENT) and not has_just_begun


@contextmanager
def _reading() -> Iterator[Session]:
    unit = UnitOfWork(db.sessionmaker)
    unit.begin_read()
    try:
        yield unit.session
    finally:
        unit.close()
