"""Decide whether the clock may be trusted for what is dated for good, and keep what is known about the time (decision 0017).

The wall clock of a machine can be set to anything. It is compared with the seconds since the machine was started, which nobody sets, with
the database's clock, and with what was dated before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Float, Integer, Select, String, func, literal, null, select
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from sifilma.kernel import triggers
from sifilma.kernel.clock import Clock, Reading
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.errors import ClockNotTrusted
from sifilma.kernel.statements.prepared import Prepared

LOOK_EVERY = 10.0
"""Seconds for which the records in the database need not be read again while the clock is trusted."""
RECENT = 60.0
"""Seconds within which a trusted moment of another node, where the worker lives, tells the present one."""
GREAT = timedelta(hours=24)
"""A greater step waits for people, even if the clock is set right again."""


class Heartbeat(Base):
    """The last sign of life of a process (`worker`) on a node, with what its clock showed then, trusted or not."""

    __tablename__ = "heartbeat"

    node: Mapped[str] = mapped_column(String(100), primary_key=True)
    process: Mapped[str] = mapped_column(String(20), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    boot_id: Mapped[str] = mapped_column(String(36))
    elapsed: Mapped[float] = mapped_column(Float)
    pid: Mapped[int] = mapped_column(Integer)
    version: Mapped[str] = mapped_column(String(40))


class TrustedTime(Base):
    """The last reading that was trusted, in the one row 1.

    `accepted` counts how often people have accepted the clock. Signed records dated until `known_until` are known to be dated wrongly.
    """

    __tablename__ = "trusted_time"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    boot_id: Mapped[str] = mapped_column(String(36))
    elapsed: Mapped[float] = mapped_column(Float)
    accepted: Mapped[int] = mapped_column(Integer, default=0)
    known_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Reason(StrEnum):
    """Why the clock is not trusted."""

    STEPPED = "stepped"
    """It shows another time than the last trusted moment and the seconds since then make."""
    DATABASE = "database"
    """The database's clock shows another time."""
    SIGNED = "signed"
    """A signed record is dated later."""
    BACKWARDS = "backwards"
    """The machine was started anew, and it is earlier than the last trusted moment."""
    AHEAD = "ahead"
    """The machine was started anew, and more than a day has passed since the last trusted moment."""


class ClockStop(Base):
    """A time in which the clock was not trusted. `waits`: people must accept the clock; else the stop ends when the clock is right again.

    `seconds` is by how much the clock was ahead (negative: behind), at most. `earliest` and `latest` are what it showed meanwhile.
    `act_id` is the entry of the last person who accepted.
    """

    __tablename__ = "clock_stop"
    __table_args__ = (
        CheckConstraint(f"reason IN ({', '.join(repr(str(one)) for one in Reason)})", name="reason"),
        CheckConstraint("ended_at IS NOT NULL OR act_id IS NULL", name="ended"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    reason: Mapped[str] = mapped_column(String(10))
    seconds: Mapped[float] = mapped_column(Float)
    waits: Mapped[bool]
    earliest: Mapped[datetime] = mapped_column(UtcDateTime)
    latest: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    act_id: Mapped[UUID | None]


triggers.guard(
    "clock_stop_waits",
    "clock_stop",
    "UPDATE",
    "OLD.ended_at IS NOT NULL OR (OLD.waits AND NOT NEW.waits) OR (NEW.waits AND NEW.ended_at IS NOT NULL AND NEW.act_id IS NULL)",
    "clock_stop: what waits for people is ended by them, once",
)
triggers.guard("clock_stop_kept", "clock_stop", "DELETE", "", "clock_stop: what was recorded stays")


_signed: dict[str, Callable[[], Select[datetime]]] = {}


@dataclass(frozen=True)
class Finding:
    """Why the clock is not trusted: by how many `seconds` it is ahead (negative: behind), and whether people must accept it."""

    reason: Reason
    seconds: float
    waits: bool = False


@dataclass(frozen=True)
class Known:
    """What the database knows about the time. `database` is how many seconds the wall clock is ahead of the database's clock."""

    trusted: Reading | None = None
    accepted: int = 0
    known_until: datetime | None = None
    database: float = 0.0
    signed: datetime | None = None
    stop: Finding | None = None


def register_signed(name: str, newest: Callable[[], Select[datetime]]) -> None:
    """Register how the moment of the newest signed record of one kind is found, by an index. Registering a name again replaces it."""
    _signed[name] = newest


def judge(now: Reading, known: Known, own: Reading | None, tolerance: float) -> Finding | None:
    """Return why the clock is not trusted, or None. `own` is what this process trusted before; what the database knows goes before it.

    A trusted moment of the same run of the machine decides over signed records: they may have been dated by a clock that was wrong.
    """
    if known.stop is not None and known.stop.waits:
        return known.stop
    base = next((one for one in (known.trusted, own) if one is not None and one.boot_id == now.boot_id), None)
    if base is not None and abs(ahead := _ahead(now, base)) > tolerance:
        return _finding(Reason.STEPPED, ahead)
    if abs(known.database) > tolerance:
        return _finding(Reason.DATABASE, known.database)
    if known.trusted is not None and known.trusted.boot_id == now.boot_id:
        return None
    return _since_another_run(now, known, tolerance)


def _ahead(now: Reading, trusted: Reading) -> float:
    return (now.at - trusted.at).total_seconds() - (now.elapsed - trusted.elapsed)


def _finding(reason: Reason, seconds: float) -> Finding:
    return Finding(reason, seconds, waits=abs(seconds) > GREAT.total_seconds())


def _since_another_run(now: Reading, known: Known, tolerance: float) -> Finding | None:
    """Compare with what was dated before this run of the machine; nothing tells how long the machine was off."""
    if known.trusted is not None:
        step = (now.at - known.trusted.at).total_seconds()
        if step < -tolerance:
            return _finding(Reason.BACKWARDS, step)
        if step > GREAT.total_seconds():
            return _finding(Reason.AHEAD, step)
    is_new = known.signed is not None and (known.known_until is None or known.signed > known.known_until)
    if is_new and known.signed is not None and (step := (now.at - known.signed).total_seconds()) < -tolerance:
        return _finding(Reason.SIGNED, step)
    return None


class ClockWatch:
    """Watches the clock of one process. Most questions cost two readings of clocks; `look` asks the database one statement.

    `tolerance`: seconds by which clocks may differ.
    """

    def __init__(self, clock: Clock, tolerance: float) -> None:
        self.clock, self.tolerance = clock, tolerance
        self.also: Callable[[Session], None] = lambda _session: None
        """What must hold besides, wherever the clock must be trusted: raises a refusal (`sifilma.witness.standing`)."""
        self.begin()

    def begin(self) -> None:
        """Begin anew in a process that was just forked: the parent's readings may be older than a step that people accepted since."""
        self.started = self.clock.reading()
        self._own: Reading | None = self.started
        self._is_proved = False  # whether a look has found a reading of this process right
        self._looked: Reading | None = None
        self._found: Finding | None = None
        self._accepted: int | None = None

    def now(self) -> datetime:
        """Return the present moment: that of the wall clock, or, if it was set, the last trusted moment and the seconds since."""
        reading = self.clock.reading()
        base = self._own
        if base is None or base.boot_id != reading.boot_id or abs(_ahead(reading, base)) <= self.tolerance:
            return reading.at
        return base.at + timedelta(seconds=reading.elapsed - base.elapsed)

    def finding(self) -> Finding | None:
        """Return why the clock is not trusted, or None, by this process's memory."""
        return self._of(self.clock.reading())

    def trusted_now(self) -> datetime:
        """Return the present moment. Raise ClockNotTrusted, by this process's memory."""
        reading = self.clock.reading()
        _refuse(self._of(reading))
        return reading.at

    def due_until(self) -> datetime:
        """Return the moment until which things fall due: that of the last look. Raise ClockNotTrusted, by this process's memory.

        A clock that is set between two looks, and back again, lets nothing end.
        """
        now = self.trusted_now()
        return min(now, self._own.at) if self._own else now

    def require(self, session: Session) -> None:
        """Raise ClockNotTrusted. The database is asked if that was LOOK_EVERY ago, or if the clock was not trusted then.

        Raise as `also` does.
        """
        self.also(session)
        _refuse(self.look(session) if self._is_due() else self.finding())

    def forget(self) -> None:
        """Forget what this process trusted before: people say what the time is."""
        self._own = self._found = None

    def look(self, session: Session) -> Finding | None:
        """Compare the clock with the records in the database and with the database's clock. Return why it is not trusted, or None."""
        known = read(session, self.clock)
        if self._accepted not in (None, known.accepted):
            self.forget()
        self._accepted = known.accepted
        reading = self.clock.reading()
        if _is_confirmed(reading, known, self.tolerance):
            self._own = None  # a machine that was paused and then set right would else differ from its own memory for ever
        found = judge(reading, known, self._own, self.tolerance)
        if found is None:
            self._own, self._is_proved = reading, True
        elif found.reason is Reason.STEPPED and known.trusted is not None and known.trusted.boot_id == reading.boot_id:
            self._own = known.trusted  # also where this process was started by a wrong clock
        elif not self._is_proved and self._agrees(reading):
            self._own = None  # the reading at the start is as doubtful as this one: a clock that is set right must not count as stepped
        self._found, self._looked = found, reading
        return found

    def _agrees(self, reading: Reading) -> bool:
        return self._own is not None and self._own.boot_id == reading.boot_id and abs(_ahead(reading, self._own)) <= self.tolerance

    def _of(self, reading: Reading) -> Finding | None:
        return self._found or judge(reading, Known(), self._own, self.tolerance)

    def _is_due(self) -> bool:
        last, now = self._looked, self.clock.reading()
        return last is None or self._found is not None or last.boot_id != now.boot_id or abs(now.elapsed - last.elapsed) >= LOOK_EVERY


def _is_confirmed(now: Reading, known: Known, tolerance: float) -> bool:
    """Return whether the database's clock, where there is one, and a recent trusted moment of another node agree with the wall clock."""
    if known.trusted is None or known.trusted.boot_id == now.boot_id or known.stop is not None:
        return False
    age = (now.at - known.trusted.at).total_seconds()
    return abs(known.database) <= tolerance and -tolerance <= age <= RECENT


def _refuse(found: Finding | None) -> None:
    if found is not None:
        raise ClockNotTrusted()


def read(session: Session, clock: Clock) -> Known:
    """Return what the database knows about the time, in one statement."""
    is_shared = clock.shows_real_time and session.get_bind().dialect.name == "postgresql"
    before = clock.now()
    (row,) = _statement(is_shared, *sorted(_signed.items())).read(session, {})
    trusted = Reading(row.at, row.boot_id, row.elapsed) if row.at is not None else None
    stop = Finding(Reason(row.reason), row.seconds, row.waits) if row.reason is not None else None
    moments: list[datetime | None] = [getattr(row, name) for name in _signed]
    signed = max((moment for moment in moments if moment is not None), default=None)
    database = _difference(before, clock.now(), row.database_at) if is_shared else 0.0
    return Known(trusted, row.accepted or 0, row.known_until, database, signed, stop)


@lru_cache(maxsize=4)
def _statement(is_shared: bool, *moments: tuple[str, Callable[[], Select[datetime]]]) -> Prepared:
    at: ColumnElement[datetime] = func.clock_timestamp(type_=DateTime(timezone=True)) if is_shared else null().cast(UtcDateTime)
    one = select(literal(1).label("id")).subquery()
    signed = [newest().limit(1).scalar_subquery().label(name) for name, newest in moments]
    stop = select(ClockStop.reason, ClockStop.seconds, ClockStop.waits).where(ClockStop.ended_at.is_(None))
    stop_row = stop.order_by(ClockStop.id.desc()).limit(1).subquery()
    known = (TrustedTime.at, TrustedTime.boot_id, TrustedTime.elapsed, TrustedTime.accepted, TrustedTime.known_until)
    return Prepared(
        select(*known, stop_row.c.reason, stop_row.c.seconds, stop_row.c.waits, *signed, at.label("database_at"))
        .select_from(one)
        .outerjoin(TrustedTime, TrustedTime.id == one.c.id)
        .outerjoin(stop_row, literal(1) == one.c.id)
    )


def _difference(before: datetime, after: datetime, moment: datetime) -> float:
    """Return by how many seconds this clock, read before and after the database told its moment, is ahead of it."""
    if before <= moment <= after:
        return 0.0
    return min((before - moment).total_seconds(), (after - moment).total_seconds(), key=abs)
