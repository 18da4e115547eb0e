"""Give the time as an argument: services take a clock, so that tests can move it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Protocol
from uuid import uuid4

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Reading:
    """The wall clock (UTC) together with a clock that nobody sets: seconds since the machine was started, time asleep included.

    Two readings of one `boot_id` tell how much time has passed between them, whatever happened to the wall clock.
    """

    at: datetime
    boot_id: str
    elapsed: float


class Clock(Protocol):
    """Tells the present moment, always with a time zone and in UTC. `shows_real_time`: other machines' clocks show the same."""

    shows_real_time: bool

    def now(self) -> datetime:
        """Return the present moment (UTC)."""
        ...

    def reading(self) -> Reading:
        """Return the present moment and the seconds since the machine was started."""
        ...


class SystemClock:
    """The machine's clock."""

    shows_real_time = True

    def now(self) -> datetime:
        """Return the present moment (UTC)."""
        return datetime.now(UTC)

    def reading(self) -> Reading:
        """Return the present moment and CLOCK_BOOTTIME (clock_gettime(2))."""
        return Reading(self.now(), _boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME))


@cache
def _boot_id() -> str:
    """Return the kernel's name for this run of the machine (proc_sys_kernel(5)); without /proc a name of this process."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return str(uuid4())


class ManualClock:
    """A clock for tests. It stands still until it is moved."""

    shows_real_time = False

    def __init__(self, start: datetime) -> None:
        self._now, self._boot_id, self._elapsed = start.astimezone(UTC), str(uuid4()), 1000.0

    def now(self) -> datetime:
        """Return the moment the clock was set to (UTC)."""
        return self._now

    def reading(self) -> Reading:
        """Return that moment and the seconds since the last `reboot`."""
        return Reading(self._now, self._boot_id, self._elapsed)

    def advance(self, **step: float) -> None:
        """Let `timedelta(**step)` pass."""
        self.jump(**step)
        self._elapsed += timedelta(**step).total_seconds()

    def set(self, moment: datetime) -> None:
        """Let the time pass until `moment`."""
        self.advance(seconds=(moment - self._now).total_seconds())

    def jump(self, **step: float) -> None:
        """Set the wall clock wrong by `timedelta(**step)`, or right again. No time passes."""
        self._now += timedelta(**step)

    def reboot(self, **off: float) -> None:
        """Start the machine anew after `timedelta(**off)`."""
        self._now += timedelta(**off)
        self._boot_id, self._elapsed = str(uuid4()), 10.0
