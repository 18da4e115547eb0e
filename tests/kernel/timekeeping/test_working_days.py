"""Working days are counted over weekends and holidays as somebody with a wall calendar counts them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from sifilma.kernel.timekeeping.targets import ZONE, Targets
from sifilma.kernel.timekeeping.working_days import Calendar

DAYS = st.dates(date(2026, 1, 1), date(2027, 12, 31))
CALENDARS = st.sets(DAYS, max_size=40).map(Calendar.without)
NEW_YEAR = Calendar.without([date(2027, 1, 1), date(2026, 12, 25), date(2026, 12, 26)])


def by_hand(calendar: Calendar, start: date, end: date) -> int:
    """Return the working days after `start` up to and with `end`, counted one by one."""
    days = [start + timedelta(days=n) for n in range(1, (end - start).days + 1)]
    return sum(day.weekday() < 5 and day not in calendar.holidays for day in days)


@settings(max_examples=150, deadline=None)
@given(CALENDARS, DAYS, st.integers(0, 60), st.integers(0, 20))
def test_days_are_counted_one_by_one_and_due_and_latest_turn_that_round(calendar: Calendar, start: date, span: int, days: int) -> None:
    end = start + timedelta(days=span)
    assert calendar.elapsed(start, end) == by_hand(calendar, start, end) == -calendar.elapsed(end, start)
    assert calendar.is_working(end) == (by_hand(calendar, end - timedelta(days=1), end) == 1)
    due = calendar.due(start, days)
    assert calendar.elapsed(start, due) == days
    assert due == start or calendar.is_working(due)
    latest = calendar.latest(end, days)
    assert calendar.elapsed(latest, end) > days >= calendar.elapsed(latest + timedelta(days=1), end)


@settings(max_examples=150, deadline=None)
@given(CALENDARS, st.integers(0, 6), st.datetimes(datetime(2026, 3, 1), datetime(2026, 6, 1)), st.integers(0, 30 * 24))
def test_what_is_late_is_late_in_a_select_too_and_only_after_its_due_day(
    calendar: Calendar, days: int, since: datetime, hours: int
) -> None:
    targets, since = Targets({"approval": days}, calendar), since.replace(tzinfo=UTC)
    now = since + timedelta(hours=hours)
    before, due, late = targets.late_before("approval", now), targets.due("approval", since), targets.late("approval", since, now)
    assert before is not None
    assert due is not None
    assert (since < before) == (late > 0) == (calendar.elapsed(due, now.astimezone(ZONE).date()) > 0)


def test_a_new_year_is_counted_as_on_the_wall() -> None:
    assert NEW_YEAR.due(date(2026, 12, 24), 1) == date(2026, 12, 28)  # Friday 25th is Christmas, Saturday 26th changes nothing
    assert NEW_YEAR.due(date(2026, 12, 31), 2) == date(2027, 1, 5)
    targets = Targets({"approval": 3}, NEW_YEAR)
    friday = datetime(2026, 12, 18, 17, 30, tzinfo=UTC)  # 00.30 WIB of Saturday
    assert targets.due("approval", friday) == date(2026, 12, 23)
    assert targets.late("approval", friday, datetime(2026, 12, 23, 16, 59, tzinfo=UTC)) == 0
    assert targets.late("approval", friday, datetime(2026, 12, 28, 1, tzinfo=UTC)) == 2
    assert targets.due("destruction", friday) is None
    assert targets.late_before("destruction", friday) is None
