"""Days and moments as people and programs write them. One reader for pages, calls and sheets."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from sifilma.kernel.text import Text, say

FIRST, LAST = date(2000, 1, 1), date(2199, 12, 31)
"""What lies outside is a slip of the pen. Inside, every moment has a place in every time zone's calendar."""
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?")
_INDONESIAN = re.compile(r"([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?")
NO_DAY = say("Write the date as 2026-12-31.")
FIRST_PAPER = date(2009, 1, 1)
"""The electronic identity card, and with it the SAM, began with Perpres 26/2009: an older letter, agreement or certificate is a slip."""
WIT = ZoneInfo("Asia/Jayapura")
"""Where a day begins first in Indonesia."""
FUTURE = say("This day lies in the future.")
BEFORE_PAPERS = say("This day lies before 2009, when the first electronic identity cards were made. Check the year.")
NO_MOMENT = say("Write date and time as 2026-12-31T09:30.")
OUT_OF_RANGE = say("Write a date between 2000-01-01 and 2199-12-31.")


def read_day(text: str) -> date:
    """Return the day of a text: `2026-12-31` or `31-12-2026`. Raise ValueError, with a sentence, for any other, or a day out of range."""
    typed = text.strip()
    if found := _ISO.fullmatch(typed):
        year, month, day = map(int, found.groups())
    elif found := _INDONESIAN.fullmatch(typed):
        day, month, year = map(int, found.groups())
    else:
        raise ValueError(NO_DAY)
    try:
        read = date(year, month, day)
    except ValueError:  # the 30th of February, or year 0
        raise ValueError(NO_DAY) from None
    return _in_range(read)


def read_moment(text: str, zone: ZoneInfo) -> datetime:
    """Return the moment of a text in local time (`2026-12-31T09:30`). Raise ValueError, with a sentence, as `read_day` does."""
    typed = text.strip()
    if not _MOMENT.fullmatch(typed):
        raise ValueError(NO_MOMENT)
    try:
        found = datetime.fromisoformat(typed)
    except ValueError:
        raise ValueError(NO_MOMENT) from None
    _in_range(found.date())
    return found.replace(tzinfo=zone)


def wrong_paper_day(now: datetime, day: date) -> Text | None:
    """Return what is wrong with the day on which a paper was written, in words, or None: it has begun somewhere in Indonesia (WIT)."""
    if day > now.astimezone(WIT).date():
        return FUTURE
    return BEFORE_PAPERS if day < FIRST_PAPER else None


def _in_range(day: date) -> date:
    if not FIRST <= day <= LAST:
        raise ValueError(OUT_OF_RANGE)
    return day


def _day(value: Any) -> date:
    """Return the day of a field's value. A number is none: it would count as seconds since 1970."""
    if isinstance(value, str):
        return read_day(value)
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ValueError(NO_DAY)  # pydantic makes a field error of a ValueError only
    return _in_range(value)


def _text_or_moment(value: Any) -> Any:
    if not isinstance(value, (str, datetime)) or (isinstance(value, str) and not _MOMENT.match(value.strip())):
        raise ValueError(NO_MOMENT)
    return value


def _moment(value: datetime) -> datetime:
    """Return the moment if its day lies in range, whatever its zone."""
    try:
        _in_range((value.astimezone(UTC) - timedelta(days=1)).date())
        _in_range((value.astimezone(UTC) + timedelta(days=1)).date())
    except OverflowError:
        raise ValueError(OUT_OF_RANGE) from None
    return value


Day = Annotated[date, BeforeValidator(_day)]
"""A day in a schema, as `read_day` takes it."""
Moment = Annotated[AwareDatetime, BeforeValidator(_text_or_moment), AfterValidator(_moment)]
"""A moment with its zone in a schema."""
