"""Service targets: in how many working days something should be done, and whether it is late.

The days are those of one zone for everybody: two people who look at one request see the same due day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from config import holidays
from config.settings import Settings
from sifilma.kernel.timekeeping.working_days import Calendar

ZONE = ZoneInfo("Asia/Jakarta")
"""The zone of the directorate, which gives the service."""
APPROVAL, PERSONALISATION, HANDOVER, ACTIVATION_APPROVAL, DESTRUCTION = (
    "approval", "personalisation", "handover", "activation_approval", "destruction",
)  # fmt: skip
"""What a target is for; the setting `target_…_days` has its working days."""
NAMES = (APPROVAL, PERSONALISATION, HANDOVER, ACTIVATION_APPROVAL, DESTRUCTION)


@dataclass(frozen=True)
class Targets:
    """The working days in which each thing should be done, by its name, and the calendar they are counted in. 0 days: no target."""

    days: Mapping[str, int]
    calendar: Calendar

    @classmethod
    def of(cls, settings: Settings) -> Targets:
        """Return the targets of an installation. Raise `config.holidays.Unreadable`; an installation with such a file does not start."""
        days = {name: found for name in NAMES if (found := getattr(settings, f"target_{name}_days"))}
        return cls(days, Calendar.without(holidays.read(settings.holidays_file)))

    def due(self, name: str, since: datetime) -> date | None:
        """Return the day on which something that waits since then is due, or None without a target."""
        return self.calendar.due(local(since), self.days[name]) if name in self.days else None

    def late(self, name: str, since: datetime, now: datetime) -> int:
        """Return how many working days something is late; 0 if it is not, or has no target."""
        return max(self.calendar.elapsed(local(since), local(now)) - self.days[name], 0) if name in self.days else 0

    def late_before(self, name: str, now: datetime) -> datetime | None:
        """Return the moment before which something must have begun to wait to be late now, or None without a target."""
        if name not in self.days:
            return None
        return datetime.combine(self.calendar.latest(local(now), self.days[name]) + timedelta(days=1), time(), ZONE)


def local(at: datetime) -> date:
    """Return the day of a moment as targets count it."""
    return at.astimezone(ZONE).date()
