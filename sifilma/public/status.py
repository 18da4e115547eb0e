"""How the installation does, in words for anybody.

Each part is looked at in a thread of its own and waited for a moment only: a database or an HSM that stands still holds no page up.
A part has one thread, so that however many ask, at most one look at it hangs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from flask import Flask
from flask_babel import LazyString
from flask_babel import lazy_gettext as _
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from sifilma.audit import checkpoints
from sifilma.kernel import deadline
from sifilma.kernel.db import db
from sifilma.kernel.errors import NotFound
from sifilma.kernel.unit_of_work import UnitOfWork
from sifilma.resources import Resources, resources
from sifilma.web import health

PATIENCE = 1.2  # seconds for all parts together
LATE = timedelta(minutes=5)
"""The worker signs every minute; an entry that has waited longer is overdue."""


class Tone(StrEnum):
    """How a part does, named as the pages' colours are."""

    GOOD = "good"
    LATE = "wait"
    AWAY = "bad"


ICONS = {Tone.GOOD: "check-circle", Tone.LATE: "hourglass-split", Tone.AWAY: "x-circle"}
WORDS = {Tone.GOOD: _("Working"), Tone.LATE: _("Late"), Tone.AWAY: _("Not available")}


@dataclass(frozen=True)
class Look:
    """What was found of a part; `at`: the moment it did its work last, where that is known."""

    tone: Tone
    at: datetime | None = None


@dataclass(frozen=True)
class Part:
    """A part of the installation, how to look at it, and what each finding means for people."""

    name: LazyString
    look: Callable[[Resources], Look]
    texts: dict[Tone, LazyString]


@dataclass(frozen=True)
class Seen:
    """A part and what was found of it."""

    part: Part
    look: Look

    @property
    def text(self) -> LazyString:
        """What it means for people."""
        return self.part.texts[self.look.tone]

    @property
    def word(self) -> LazyString:
        """The finding in a word."""
        return WORDS[self.look.tone]

    @property
    def icon(self) -> str:
        """The sign beside the word."""
        return ICONS[self.look.tone]


def _good(found: bool) -> Look:
    return Look(Tone.GOOD if found else Tone.AWAY)


def _log(held: Resources) -> Look:
    unit = UnitOfWork(db.sessionmaker)
    unit.begin_read()
    try:
        return _pace(unit.session, held.clock.now())
    except SQLAlchemyError:
        return Look(Tone.AWAY)
    finally:
        unit.close()


def _pace(session: Session, now: datetime) -> Look:
    """The log is well as long as the worker signs what is new."""
    waiting = checkpoints.unsigned_since(session)
    is_late = waiting is not None and now - waiting > LATE
    tone = Tone.LATE if is_late else Tone.GOOD
    try:
        return Look(tone, checkpoints.get_newest(session).at)
    except NotFound:
        return Look(tone)


PARTS = (
    Part(
        _("Database"),
        lambda _held: _good(health.check_database()["ok"]),
        {
            Tone.GOOD: _("Answers: everything can be read and recorded."),
            Tone.AWAY: _("Does not answer. Signing in and all work wait until it is back; nothing that was recorded is lost."),
        },
    ),
    Part(
        _("Security module (HSM)"),
        lambda _held: _good(health.check_hsm()["ok"]),
        {
            Tone.GOOD: _("Makes signatures: cards can be activated."),
            Tone.AWAY: _("Does not answer. Activation waits until it is back; no token is used up meanwhile. Other work goes on."),
        },
    ),
    Part(
        _("Transparency log"),
        _log,
        {
            Tone.GOOD: _("Everything recorded so far is signed, or will be within minutes."),
            Tone.LATE: _(
                "What was recorded lately is not signed yet: the background worker is behind or stands still. Other work goes on."
            ),
            Tone.AWAY: _("Cannot be read as long as the database does not answer."),
        },
    ),
    Part(
        _("File store"),
        lambda _held: _good(health.check_disk()["ok"]),
        {
            Tone.GOOD: _("Has room for letters and photos."),
            Tone.AWAY: _("Is full or cannot be reached. Nothing can be uploaded until there is room again."),
        },
    ),
)
_THREADS = [ThreadPoolExecutor(1, f"status-{number}") for number in range(len(PARTS))]


def seen(app: Flask) -> list[Seen]:
    """Every part, looked at at the same time; what does not answer in time is not available."""
    looks = [thread.submit(_look, app, part) for thread, part in zip(_THREADS, PARTS, strict=True)]
    until = time.monotonic() + PATIENCE
    return [Seen(part, _answer(look, until)) for part, look in zip(PARTS, looks, strict=True)]


def _look(app: Flask, part: Part) -> Look:
    with app.app_context(), deadline.limit(PATIENCE):
        return part.look(resources(app))


def _answer(look: Future[Look], until: float) -> Look:
    try:
        return look.result(max(0.0, until - time.monotonic()))
    except TooLate:
        look.cancel()  # one that has not begun never will: nothing piles up
        return Look(Tone.AWAY)
