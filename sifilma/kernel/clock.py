"""Give the time as an argument: services take a clock, so that tests can move it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the present moment, always with a time zone and in UTC."""

    def now(self) -> datetime:
        """Return the present moment (UTC)."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment (UTC)."""
        return datetime.now(UTC)


class ManualClock:
    """A clock for tests. It stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the moment the clock was set to (UTC)."""
        return self._now

    def advance(self, **step: float) -> None:
        """Move the clock by `timedelta(**step)`."""
        self._now += timedelta(**step)

    def set(self, moment: datetime) -> None:
        """Set the clock to `moment`."""
        self._now = moment.astimezone(UTC)
