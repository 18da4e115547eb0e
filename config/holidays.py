"""An operator's file of public holidays: CSV of `date,name`, as the joint decree of three ministers (SKB) lists them for a year.

The first line may name the columns. Empty lines and lines that begin with `#` say nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path

MOST_BYTES = 1024 * 1024
HEADER = ["date", "name"]


class Unreadable(Exception):
    """The file cannot be used. The text says why, as the end of a sentence that begins with `the file`."""


@lru_cache(maxsize=8)
def read(path: str) -> Mapping[date, str]:
    """Return the holidays of a file in their order, with their names; none for an empty path. Raise Unreadable.

    A process reads its file once. Who changes the file restarts the service.
    """
    return load(path) if path else {}


def load(path: str) -> dict[date, str]:
    """Return the holidays of a file as they stand there now. Raise Unreadable."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as fault:
        raise Unreadable(f"cannot be read ({fault.strerror})") from None
    except UnicodeDecodeError:
        raise Unreadable("is no text in UTF-8") from None
    if len(content) > MOST_BYTES:
        raise Unreadable(f"is larger than {MOST_BYTES // 1024} KiB")
    found: dict[date, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        if not any(cells) or cells[0].startswith("#") or (not found and [cell.lower() for cell in cells] == HEADER):
            continue
        day = _day(cells, number)
        if day in found:
            raise Unreadable(f"names {day} twice (line {number})")
        found[day] = cells[1]
    if not found:
        raise Unreadable("names no holiday")
    return dict(sorted(found.items()))


def _day(cells: list[str], number: int) -> date:
    if len(cells) != len(HEADER) or not cells[1]:
        raise Unreadable(f"has in line {number} not a date and a name, as in 2027-01-01,Tahun Baru 2027 Masehi")
    try:
        day = date.fromisoformat(cells[0]) if len(cells[0]) == len("2027-01-01") else None
    except ValueError:
        day = None
    if day is None or not 2000 <= day.year <= 2199:  # as kernel/days.py reads days
        raise Unreadable(f"has in line {number} no date such as 2027-01-01")
    return day


def fault(path: str) -> str:
    """Return why a file cannot be used, as the end of a sentence, or an empty text."""
    try:
        load(path)
    except Unreadable as why:
        return str(why)
    return ""
