"""What is kept about the time: signs of life of the worker, the last moment that was trusted, and the stops of an untrusted clock."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Float, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime


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
