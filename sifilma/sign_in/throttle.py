"""Throttle the guessing of passwords and codes. Tries are counted in the database, so all nodes share them and a restart keeps them.

A try takes its slot before anything is compared: one conditional statement counts and decides, so that of any number of tries at the same
moment no more are compared than are free. A right answer gives the slot back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, case, delete, literal, null, or_, select, update
from sqlalchemy.orm import Session

from sifilma.audit.models import Action
from sifilma.audit.service import record_in
from sifilma.identity.models import Throttle
from sifilma.kernel.context import Context
from sifilma.kernel.db import UtcDateTime, upsert
from sifilma.kernel.errors import TooMany
from sifilma.kernel.timekeeping.moments import SLACK, has_come, lies_ahead

WINDOW = timedelta(minutes=15)
WAITS = (30, 60, 120, 240, 480, 900)
"""Seconds of waiting after the last free failure and after each further one."""
LONGEST = timedelta(seconds=WAITS[-1])


@dataclass(frozen=True)
class Limit:
    """How many failures are free within WINDOW. Each further one doubles the waiting time, from 30 seconds to 15 minutes."""

    free: int


PASSWORD = Limit(5)  # per user name and network: the user is not locked out elsewhere
ADDRESS = Limit(100)
OTP = Limit(10)  # per account, over all its sessions


@dataclass(frozen=True)
class Slot:
    """A try that was let through and is counted as a failure until it is given back.

    By subject: `limits`; `failures`, this one included; `until`, when the block that this try began will end, None if it began none.
    """

    limits: Mapping[str, Limit]
    failures: Mapping[str, int]
    until: Mapping[str, datetime | None]


def admit(ctx: Context, limits: Mapping[str, Limit]) -> Slot:
    """Take a slot in a transaction of its own. Raise as `take` does, and OpenTransaction if something was changed already."""
    return ctx.uow.at_once(lambda: take(ctx.session, ctx.now, limits))


def take(session: Session, now: datetime, limits: Mapping[str, Limit]) -> Slot:
    """Count one try for each subject, unless one of them is blocked.

    Raise TooMany, with the seconds left, if one is: the caller's transaction must then be rolled back. One upsert counts and decides.
    """
    subjects = sorted(limits)  # one order everywhere, so that two tries never wait for each other
    first = [{"subject": one, "failures": 1, "first_at": now, "blocked_until": _wait(1, limits[one], now)} for one in subjects]
    is_over = or_(Throttle.first_at <= now - WINDOW, Throttle.first_at > now + SLACK)  # or was begun by a wrong clock
    failures = case((is_over, 1), else_=Throttle.failures + 1)
    counted = (
        upsert(session, Throttle)
        .values(first)
        .on_conflict_do_update(
            index_elements=[Throttle.subject],
            set_={
                "failures": failures,
                "first_at": case((is_over, now), else_=Throttle.first_at),
                "blocked_until": _blocked_until(failures, limits, now),
            },
            where=or_(Throttle.blocked_until.is_(None), has_come(Throttle.blocked_until, now, LONGEST)),
        )
        .returning(Throttle.subject, Throttle.failures, Throttle.blocked_until)
    )
    rows = session.execute(counted).all()
    if len(rows) < len(subjects):
        raise _blocked(session, now, subjects)
    return Slot(limits, {row.subject: row.failures for row in rows}, {row.subject: row.blocked_until for row in rows})


def _wait(failures: int, limit: Limit, now: datetime) -> datetime | None:
    beyond = failures - limit.free
    return None if beyond < 0 else now + timedelta(seconds=WAITS[min(beyond, len(WAITS) - 1)])


def _blocked_until(failures: ColumnElement[int], limits: Mapping[str, Limit], now: datetime) -> ColumnElement[datetime | None]:
    beyond = failures - _free(limits)
    moments = [literal(now + timedelta(seconds=wait), UtcDateTime) for wait in WAITS]
    return case((beyond < 0, null()), *((beyond == number, moment) for number, moment in enumerate(moments[:-1])), else_=moments[-1])


def _free(limits: Mapping[str, Limit]) -> ColumnElement[int]:
    return case({subject: limit.free for subject, limit in limits.items()}, value=Throttle.subject)


def _blocked(session: Session, now: datetime, subjects: list[str]) -> TooMany:
    rows = session.scalars(
        select(Throttle.blocked_until).where(Throttle.subject.in_(subjects), lies_ahead(Throttle.blocked_until, now, LONGEST))
    )
    until = max((moment for moment in rows if moment is not None), default=now)
    return TooMany("Too many wrong attempts. Wait, then try again.", retry_after=max(1, round((until - now).total_seconds())))


def note_block(session: Session, ctx: Context, slot: Slot, user_id: UUID | str = "-") -> None:
    """Record that a try that failed began the first block of its window."""
    for subject, failures in slot.failures.items():
        if failures == slot.limits[subject].free:
            record_in(session, ctx, Action.SESSION_THROTTLED, "user", user_id, kind=subject.partition(":")[0])


def give_back(session: Session, slot: Slot) -> None:
    """Count a try that was right no longer, and end the block that it began."""
    left = Throttle.failures - 1
    own = case({subject: literal(until, UtcDateTime) for subject, until in slot.until.items()}, value=Throttle.subject)
    freed = or_(left < _free(slot.limits), Throttle.blocked_until == own)
    session.execute(
        update(Throttle)
        .where(Throttle.subject.in_(sorted(slot.limits)), Throttle.failures > 0)
        .values(failures=left, blocked_until=case((freed, null()), else_=Throttle.blocked_until))
        .execution_options(synchronize_session=False)
    )


def forgive(session: Session, *subjects: str) -> None:
    """Delete the failures of subjects that signed in."""
    session.execute(delete(Throttle).where(Throttle.subject.in_(subjects)))
