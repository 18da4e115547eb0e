"""Working days: Monday to Friday, without holidays. Nothing here asks a clock, a file or a database."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

MONDAY = date(1970, 1, 5).toordinal()
"""A Monday from which weekdays are counted."""
WEEK, WORKED = 7, 5


@dataclass(frozen=True)
class Calendar:
    """Which days are worked. `holidays` are days from Monday to Friday that are not, in their order."""

    holidays: tuple[date, ...] = ()

    @classmethod
    def without(cls, holidays: Iterable[date]) -> Calendar:
        """Return the calendar with these holidays. Those on a Saturday or Sunday change nothing."""
        return cls(tuple(sorted({day for day in holidays if day.weekday() < WORKED})))

    def is_working(self, day: date) -> bool:
        """Return whether a day is worked."""
        return self._index(day) > self._index(day - timedelta(days=1))

    def elapsed(self, start: date, end: date) -> int:
        """Return the number of working days after `start` up to and with `end`; negative if `end` lies before `start`."""
        return self._index(end) - self._index(start)

    def due(self, start: date, days: int) -> date:
        """Return the day on which `days` working days after `start` have elapsed; `start` itself for none. `days` is not negative."""
        day = start
        while self.elapsed(start, day) < days:
            day += timedelta(days=1)
        return day

    def latest(self, end: date, days: int) -> date:
        """Return the last day from which more than `days` working days have elapsed by `end`. `days` is not negative."""
        day = end
        while self.elapsed(day, end) <= days:
            day -= timedelta(days=1)
        return day

    def _index(self, day: date) -> int:
        """Return the number of working days from a day long ago up to and with `day`."""
        weeks, rest = divmod(day.toordinal() - MONDAY, WEEK)
        return weeks * WORKED + min(rest + 1, WORKED) - bisect_right(self.holidays, day)
