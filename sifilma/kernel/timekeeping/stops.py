"""Signs of life of the worker; the beginning and the end of the times in which the clock is not trusted."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from sifilma.kernel.clock import Reading
from sifilma.kernel.context import Context
from sifilma.kernel.db import upsert
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.timekeeping.moments import SLACK
from sifilma.kernel.timekeeping.watch import ClockStop, ClockWatch, Finding, Heartbeat, TrustedTime, read

WORKER = "worker"
SILENT = 30.0
"""Seconds without a sign of life after which a worker counts as dead; it gives one every ten seconds at least."""
FORGOTTEN = timedelta(days=30)
"""The age of signs of life that are deleted: nodes come and go."""

log = structlog.get_logger()


def beat(ctx: Context, watch: ClockWatch, node: str, pid: int, version: str) -> Finding | None:
    """Give a sign of life, and move the trusted moment on or stop what goes by the clock. Return why the clock is not trusted, or None.

    Stops are written here only, by the worker: server processes judge for themselves each time, and remember nothing of it.
    """
    _lock(ctx.session)
    found = watch.look(ctx.session)
    reading = watch.clock.reading()
    _sign_of_life(ctx.session, reading, node, pid, version)
    stop = find_stop(ctx.session)
    if found is None:
        _trust(ctx.session, reading)
        _delete_old(ctx.session, reading, _skew(watch))
        if stop is not None:
            stop.ended_at = reading.at
            log.warning("clock_trusted_again", reason=stop.reason, seconds=stop.seconds)
    else:
        _stop(ctx.session, stop, found, reading)
    return found


def accept(ctx: Context, watch: ClockWatch, found: Finding, act_id: UUID) -> None:
    """Take the present moment as right, as the entry `act_id` records. What is signed for later is known to be dated wrongly."""
    _lock(ctx.session)
    known, reading = read(ctx.session, watch.clock), watch.clock.reading()
    stop = find_stop(ctx.session) or _stop(ctx.session, None, found, reading)
    stop.waits, stop.ended_at, stop.act_id = True, reading.at, act_id
    wrong = known.signed if known.signed is not None and known.signed > reading.at else None
    values = {"accepted": known.accepted + 1} | ({"known_until": wrong} if wrong is not None else {})
    _trust(ctx.session, reading, **values)
    log.warning("clock_accepted", reason=stop.reason, seconds=stop.seconds)


def _lock(session: Session) -> None:
    """Wait for a beat or an acceptance that runs: what a beat has found before people accepted must not begin a new stop after it."""
    session.execute(select(TrustedTime.id).with_for_update())


def find_stop(session: Session) -> ClockStop | None:
    """Return the stop that lasts, or None."""
    return session.scalars(select(ClockStop).where(ClockStop.ended_at.is_(None)).order_by(ClockStop.id.desc()).limit(1)).first()


_BEATS = Prepared(select(Heartbeat.at, Heartbeat.boot_id, Heartbeat.elapsed).where(Heartbeat.process == WORKER))


def worker_age(session: Session, watch: ClockWatch) -> float | None:
    """Return the seconds since the last sign of life of any worker, at least, or None if there is none.

    The clocks of other nodes may differ by the tolerance. A sign of life dated further ahead is of a wrong clock, and counts as none.
    """
    beats = _BEATS.read(session, {})
    now = watch.clock.reading()
    ages = (_age(now, Reading(*row), _skew(watch).total_seconds()) for row in beats)
    return min((age for age in ages if age is not None), default=None)


def is_worked(ctx: Context) -> bool:
    """Return whether a worker has given a sign of life within SILENT seconds. The one answer that people are given."""
    age = worker_age(ctx.session, ctx.watch or ClockWatch(ctx.clock, 0.0))
    return age is not None and age <= SILENT


def _skew(watch: ClockWatch) -> timedelta:
    return max(SLACK, timedelta(seconds=watch.tolerance))


def _age(now: Reading, then: Reading, skew: float) -> float | None:
    """Return the seconds between two readings; of one run of the machine they do not depend on the wall clock. Else `skew` is taken off."""
    if now.boot_id == then.boot_id:
        return max(0.0, now.elapsed - then.elapsed)
    seconds = (now.at - then.at).total_seconds()
    return max(0.0, seconds - skew) if seconds >= -skew else None


def _sign_of_life(session: Session, reading: Reading, node: str, pid: int, version: str) -> None:
    seen = {"at": reading.at, "boot_id": reading.boot_id, "elapsed": reading.elapsed, "pid": pid, "version": version}
    new = upsert(session, Heartbeat).values(node=node, process=WORKER, **seen)
    session.execute(new.on_conflict_do_update(index_elements=["node", "process"], set_=seen))


def _delete_old(session: Session, reading: Reading, skew: timedelta) -> None:
    """Delete the signs of life of nodes that are gone, and those that a wrong clock dated ahead."""
    wrong = or_(Heartbeat.at < reading.at - FORGOTTEN, Heartbeat.at > reading.at + skew)
    session.execute(delete(Heartbeat).where(wrong).execution_options(synchronize_session=False))


def _trust(session: Session, reading: Reading, **more: int | datetime) -> None:
    seen = {"at": reading.at, "boot_id": reading.boot_id, "elapsed": reading.elapsed} | more
    new = upsert(session, TrustedTime).values({"id": 1, "accepted": 0} | seen)
    session.execute(new.on_conflict_do_update(index_elements=["id"], set_=seen))


def _stop(session: Session, stop: ClockStop | None, found: Finding, reading: Reading) -> ClockStop:
    """Begin a stop, or note in the one that lasts what the clock shows now."""
    if stop is None:
        stop = ClockStop(reason=found.reason, seconds=found.seconds, waits=found.waits, earliest=reading.at, latest=reading.at)
        session.add(stop)
        log.error("clock_not_trusted", reason=str(found.reason), seconds=round(found.seconds, 1), waits=found.waits)
    stop.earliest, stop.latest = min(stop.earliest, reading.at), max(stop.latest, reading.at)
    if abs(found.seconds) > abs(stop.seconds):
        stop.reason, stop.seconds = found.reason, found.seconds
    stop.waits = stop.waits or found.waits
    session.flush()
    return stop
