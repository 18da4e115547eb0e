"""Throttle the guessing of passwords and codes. Failures are counted in the database, so all nodes share them and a restart keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from sifilma.audit.models import Action
from sifilma.audit.service import record_in
from sifilma.identity.models import Throttle
from sifilma.kernel.context import Context
from sifilma.kernel.db import upsert
from sifilma.kernel.errors import TooMany

WINDOW = timedelta(minutes=15)


@dataclass(frozen=True)
class Limit:
    """How many failures are free within WINDOW. Each further one doubles the waiting time, from 30 seconds to 15 minutes."""

    free: int


PASSWORD = Limit(5)  # per user name and network: the user is not locked out elsewhere
ADDRESS = Limit(100)
OTP = Limit(10)  # per account, over all its sessions


def require_calm(session: Session, now: datetime, *subjects: str) -> None:
    """Raise TooMany, with the seconds left, if any subject is blocked."""
    rows = session.scalars(select(Throttle.blocked_until).where(Throttle.subject.in_(subjects), Throttle.blocked_until > now))
    until = max((moment for moment in rows if moment is not None), default=None)
    if until is not None:
        raise TooMany("Too many wrong attempts. Wait, then try again.", retry_after=max(1, round((until - now).total_seconds())))


def fail(session: Session, ctx: Context, subject: str, limit: Limit, user_id: UUID | str = "-") -> None:
    """Count one failure, and block the subject when the limit is passed. The first block of a window is recorded.

    One upsert counts, so that concurrent failures are not lost.
    """
    now = ctx.now
    fresh: dict[str, Any] = {"failures": 1, "first_at": now, "blocked_until": None}
    counted = (
        upsert(session, Throttle)
        .values(subject=subject, **fresh)
        .on_conflict_do_update(
            index_elements=[Throttle.subject],
            set_={"failures": Throttle.failures + 1},
            where=Throttle.first_at > now - WINDOW,
        )
        .returning(Throttle.failures)
    )
    failures = session.execute(counted).scalar()
    if failures is None:  # the window is over, so counting starts again
        session.execute(update(Throttle).where(Throttle.subject == subject).values(**fresh))
    elif failures >= limit.free:
        wait = min(30 * 2 ** (failures - limit.free), 900)
        session.execute(update(Throttle).where(Throttle.subject == subject).values(blocked_until=now + timedelta(seconds=wait)))
        if failures == limit.free:
            record_in(session, ctx, Action.SESSION_THROTTLED, "user", user_id, kind=subject.partition(":")[0])


def forgive(session: Session, *subjects: str) -> None:
    """Delete the failures of subjects that signed in."""
    session.execute(delete(Throttle).where(Throttle.subject.in_(subjects)))
