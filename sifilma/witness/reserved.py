"""Numbers that must never be given out twice are reserved ahead, and none leaves before the witness knows the end of its block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed, upsert
from sifilma.kernel.errors import Unavailable
from sifilma.kernel.text import say
from sifilma.witness import row, standing
from sifilma.witness.models import ReservedNumber
from sifilma.witness.row import Said, Sign
from sifilma.witness.statements import Kind

DAY, LEAST = timedelta(days=1), timedelta(hours=1)
AHEAD_DAYS = 7
"""A block lasts for at least so many days at the pace of the last one."""
WARN_DAYS = 3.0
"""Operators are warned when what may leave lasts for fewer days than this."""


class NumbersNotTold(Unavailable):
    """The block of a counter is used up, and the witness does not know the next one."""

    type = "witness-not-told"
    title: str = say("The witness of given numbers does not answer")

    def __init__(self) -> None:
        super().__init__(
            say(
                "Nothing was issued: numbers are given out only up to an end that the witness knows, and the witness has not answered for "
                "some time. Issuing goes on by itself when it is back. Tell the operator."
            ),
            retry_after=60,
        )


@dataclass(frozen=True)
class Need:
    """A counter: its name, the last number that was given out, and how many are reserved ahead at least."""

    name: str
    used: int
    ahead: int


@dataclass(frozen=True)
class Left:
    """What is left of a counter: how many numbers may still leave, and for how many days they last at today's pace (None: no pace)."""

    name: str
    numbers: int
    days: float | None

    @property
    def is_short(self) -> bool:
        """Return whether operators are to be warned."""
        return self.numbers <= 0 or (self.days is not None and self.days < WARN_DAYS)


Source = Callable[[Session, Settings], Iterable[Need]]
_sources: dict[str, Source] = {}


def register(name: str, source: Source) -> None:
    """Have the counters of a source reserved ahead. Calling it twice is harmless."""
    _sources[name] = source


def needs(session: Session, settings: Settings) -> list[Need]:
    """Return every counter with what was given out of it."""
    return [one for name in sorted(_sources) for one in _sources[name](session, settings)]


def require(session: Session, name: str, upto: int) -> None:
    """Raise NumbersNotTold unless the witness knows that numbers up to this one may leave. Without a witness every number may."""
    if standing.of(session).is_witnessed and told(session, name) < upto:
        raise NumbersNotTold()


def told(session: Session, name: str) -> int:
    """Return up to which number of a counter the witness knows."""
    return session.scalar(select(ReservedNumber.told).where(ReservedNumber.name == name)) or 0


def untold(session: Session) -> dict[str, int]:
    """Return the reserved ends that the witness does not know, by counter."""
    further = select(ReservedNumber.name, ReservedNumber.reserved).where(ReservedNumber.reserved > ReservedNumber.told)
    return {one.name: one.reserved for one in session.execute(further)}


def left(session: Session, settings: Settings, now: datetime) -> list[Left]:
    """Return what is left of each counter of which numbers are reserved ahead, in the order of their names."""
    known = {one.name: one for one in session.scalars(select(ReservedNumber))}
    return [_left(known.get(one.name), one, now) for one in sorted(needs(session, settings), key=lambda one: one.name) if one.ahead]


def _left(stored: ReservedNumber | None, need: Need, now: datetime) -> Left:
    numbers = (stored.told if stored else 0) - need.used
    pace = _pace(stored, need.used, now) if stored else 0.0
    return Left(need.name, numbers, numbers / pace if pace > 0 else None)


def _pace(stored: ReservedNumber, used: int, now: datetime) -> float:
    """Return how many numbers a day were given out since a moment that was noted a day or two ago; 0 within the first hour."""
    since = now - stored.noted_before_at
    return (used - stored.noted_before) / (since / DAY) if since >= LEAST else 0.0


def ahead(ctx: Context, settings: Settings, sign: Sign) -> int:
    """Reserve what is running short: write the statements of the new ends. Return how many counters that were.

    Of two processes that reserve at the same time, one writes; the other one has nothing left to do at its next try.
    """
    ctx.uow.begin_read()
    known = {one.name: one for one in ctx.session.scalars(select(ReservedNumber))}
    wanted = list(needs(ctx.session, settings))
    ends = {one.name: end for one in wanted if (end := _end(known.get(one.name), one, ctx.now)) is not None}
    ctx.uow.end_read()
    _note_pace(ctx, known, wanted)
    if not ends:
        return 0
    used = {one.name: one.used for one in wanted}
    return len(ends) if write(ctx, settings, sign, ends, used) else 0


def write(ctx: Context, settings: Settings, sign: Sign, ends: dict[str, int], used: Mapping[str, int]) -> bool:
    """Write the statements of these ends of counters. Return False if another process wrote meanwhile."""
    said = [Said(Kind.RESERVED, {"name": name, "end": end}, name, end) for name, end in sorted(ends.items())]
    return row.write(ctx, settings.issuer, sign, said, lambda session: raise_to(session, ends, used, ctx.now))


def _end(stored: ReservedNumber | None, need: Need, now: datetime) -> int | None:
    """Return the new end of a counter, or None if more than half a block is left."""
    block = max(need.ahead, int(_pace(stored, need.used, now) * AHEAD_DAYS) if stored else 0)
    reserved = stored.reserved if stored else -1
    return need.used + block if reserved < need.used + (block + 1) // 2 else None


def raise_to(session: Session, ends: Mapping[str, int], used: Mapping[str, int], now: datetime) -> bool:
    """Store the new ends. Return False unless each is further than what is stored: another process was there."""
    for name, end in sorted(ends.items()):
        begun = used.get(name, 0)
        noted = {"noted": begun, "noted_at": now, "noted_before": begun, "noted_before_at": now}
        new = upsert(session, ReservedNumber).values(name=name, reserved=end, told=0, **noted)
        higher = new.on_conflict_do_update(index_elements=["name"], set_={"reserved": end}, where=ReservedNumber.reserved < end)
        if session.execute(higher.returning(ReservedNumber.name)).first() is None:
            return False
    return True


def _note_pace(ctx: Context, known: dict[str, ReservedNumber], wanted: Iterable[Need]) -> None:
    due = [one for one in wanted if (stored := known.get(one.name)) is not None and ctx.now - stored.noted_at >= DAY]

    def note(session: Session) -> None:
        for one in due:
            stored = known[one.name]
            same = update(ReservedNumber).where(ReservedNumber.name == one.name, ReservedNumber.noted_at == stored.noted_at)
            values = {"noted": one.used, "noted_at": ctx.now, "noted_before": stored.noted, "noted_before_at": stored.noted_at}
            changed(session.execute(same.values(values).execution_options(synchronize_session=False)))

    if due:
        ctx.uow.separately(note)
