"""What `sifilma doctor` says: lines, each with how a thing is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a thing is found."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Line:
    """One thing that was looked at. `text` is one sentence, and says what to do where the level is not OK."""

    level: Level
    text: str


Lines = Iterator[Line]


def ok(told: str) -> Line:
    """Return a line about something that is as it should be."""
    return Line(Level.OK, told)


def warn(told: str) -> Line:
    """Return a line about something that somebody should look at."""
    return Line(Level.WARN, told)


def fail(told: str) -> Line:
    """Return a line about something that is wrong."""
    return Line(Level.FAIL, told)
