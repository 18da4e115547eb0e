"""A day is read in one way, and what is none is refused in words."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, ValidationError

from sifilma.kernel.days import NO_DAY, NO_MOMENT, OUT_OF_RANGE, Day, Moment, read_day, read_moment

WIT = ZoneInfo("Asia/Jayapura")


class Dated(BaseModel):
    """A schema with a day and a moment."""

    day: Day = date(2026, 1, 1)
    moment: Moment = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-12-31", date(2026, 12, 31)), (" 2026-12-31 ", date(2026, 12, 31)), ("2026-12-31 00:00:00", date(2026, 12, 31)),
        ("31-12-2026", date(2026, 12, 31)), ("1/2/2026", date(2026, 2, 1)),
        ("2000-01-01", date(2000, 1, 1)), ("2199-12-31", date(2199, 12, 31)),
    ],
)  # fmt: skip
def test_a_day_is_read(text: str, day: date) -> None:
    assert read_day(text) == Dated(day=text).day == day  # type: ignore[arg-type]  # the schema reads the text


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("0001-01-01", OUT_OF_RANGE), ("9999-12-31", OUT_OF_RANGE), ("0026-11-19", OUT_OF_RANGE),
        ("2200-01-01", OUT_OF_RANGE), ("1999-12-31", OUT_OF_RANGE),
        ("10000-01-01", NO_DAY), ("2026-02-30", NO_DAY), ("0000-01-01", NO_DAY),
        ("2026-W01-1", NO_DAY), ("20261231", NO_DAY), ("1700000000", NO_DAY),
        ("٢٠٢٦-٠١-٠١", NO_DAY), ("2026-12-31T23:59:59", NO_DAY), ("-2026-01-01", NO_DAY), ("inf", NO_DAY), ("", NO_DAY),
    ],
)  # fmt: skip
def test_what_is_no_day_is_refused_in_words(text: str, refusal: str) -> None:
    with pytest.raises(ValueError, match=str(refusal)):
        read_day(text)
    with pytest.raises(ValidationError, match=str(refusal)):
        Dated(day=text)  # type: ignore[arg-type]  # refused


@pytest.mark.parametrize("value", [20261231, 1_700_000_000.0, True, None, ["2026-12-31"], datetime(2026, 12, 31, tzinfo=UTC)])
def test_a_number_is_no_day(value: Any) -> None:
    with pytest.raises(ValidationError, match=str(NO_DAY)):
        Dated(day=value)


@pytest.mark.parametrize("text", ["2026-12-31T09:30", "2026-12-31 09:30:15"])
def test_a_moment_is_read_in_its_zone(text: str) -> None:
    assert read_moment(text, WIT).utcoffset() == datetime(2026, 12, 31, tzinfo=WIT).utcoffset()


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("0001-01-01T00:00:00+14:00", OUT_OF_RANGE), ("9999-12-31T23:59:59-14:00", OUT_OF_RANGE), ("2026-02-30T00:00Z", "datetime"),
        ("1700000000", NO_MOMENT), ("2026-W01-1", NO_MOMENT), ("2026-12-31", NO_MOMENT),
        ("٢٠٢٦-٠١-٠١T00:00Z", NO_MOMENT), ("2026-12-31T09:30", "timezone"),
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused_in_words(text: str, refusal: str) -> None:
    with pytest.raises(ValidationError, match=str(refusal)):
        Dated(moment=text)  # type: ignore[arg-type]  # refused
    with pytest.raises(ValueError, match="Write"):
        read_moment(text.replace("2026-12-31T09:30", "no").replace("+14:00", "").replace("-14:00", ""), WIT)
