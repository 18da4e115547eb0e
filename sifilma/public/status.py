"""Check the parts of the installation and describe their state in words for everybody.

Each part is checked in a thread of its own, and the page waits a moment only, so that a database or an HSM that hangs does not hold it
up. A part has one thread: however many people ask, at most one check of it hangs.
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

from sifilma.activation.trust import keyset
from sifilma.audit import checkpoints
from sifilma.audit.models import LogFault, Standing
from sifilma.audit.witnessed import stand
from sifilma.kernel import deadline
from sifilma.kernel.db import db
from sifilma.kernel.errors import NotFound, Unavailable
from sifilma.kernel.unit_of_work import UnitOfWork
from sifilma.resources import Resources, resources
from sifilma.web import health, time_health

PATIENCE = 1.2  # seconds for all parts together
LATE = timedelta(minutes=5)
"""The worker signs every minute. An entry that has waited longer than this is overdue."""


class Tone(StrEnum):
    """The state of a part, with the names of the pages' colours."""

    GOOD = "good"
    LATE = "wait"
    AWAY = "bad"


ICONS = {Tone.GOOD: "check-circle", Tone.LATE: "hourglass-split", Tone.AWAY: "x-circle"}
WORDS = {Tone.GOOD: _("Working"), Tone.LATE: _("Late"), Tone.AWAY: _("Not available")}


@dataclass(frozen=True)
class Look:
    """The result for a part. `at` is the moment at which it last did its work, if that is known."""

    tone: Tone
    at: datetime | None = None


@dataclass(frozen=True)
class Part:
    """A part of the installation, the function that checks it, and what each result means for users."""

    name: LazyString
    look: Callable[[Resources], Look]
    texts: dict[Tone, LazyString]


@dataclass(frozen=True)
class Seen:
    """A part and the result of its check."""

    part: Part
    look: Look

    @property
    def text(self) -> LazyString:
        """Return what the result means for users."""
        return self.part.texts[self.look.tone]

    @property
    def word(self) -> LazyString:
        """Return the result in a word."""
        return WORDS[self.look.tone]

    @property
    def icon(self) -> str:
        """Return the icon beside the word."""
        return ICONS[self.look.tone]


def _good(found: bool) -> Look:
    return Look(Tone.GOOD if found else Tone.AWAY)


def _read(look: Callable[[Session], Look]) -> Look:
    """Return what a look into the database finds. AWAY if it does not answer."""
    unit = UnitOfWork(db.sessionmaker)
    unit.begin_read()
    try:
        return look(unit.session)
    except SQLAlchemyError:
        return Look(Tone.AWAY)
    finally:
        unit.close()


def _log(held: Resources) -> Look:
    return _read(lambda session: _pace(session, held.clock.now()))


def _witness(held: Resources) -> Look:
    """Return AWAY for a witness of another log, LATE for one that has not seen the newest checkpoints, GOOD where none is set."""
    return _read(_seen_by_witness) if held.settings.witness else Look(Tone.GOOD)


def _seen_by_witness(session: Session) -> Look:
    found = stand(session, Standing.WITNESS)
    tones = {LogFault.NONE: Tone.GOOD, LogFault.AWAY: Tone.LATE}
    return Look(tones.get(found.fault, Tone.AWAY), found.at)


def _pace(session: Session, now: datetime) -> Look:
    """Return GOOD as long as the worker signs new entries in time."""
    if stand(session, Standing.SIGNING).fault is LogFault.FORKED:
        return Look(Tone.AWAY)
    waiting = checkpoints.unsigned_since(session)
    is_late = waiting is not None and now - waiting > LATE
    tone = Tone.LATE if is_late else Tone.GOOD
    try:
        return Look(tone, checkpoints.get_newest(session).at)
    except NotFound:
        return Look(tone)


def _keys(held: Resources, found: Look) -> Look:
    """Return LATE for a token that works, while a signing key is about to end."""
    if found.tone is not Tone.GOOD:
        return found
    try:
        return Look(Tone.LATE) if keyset.load(held.settings).ending(held.clock.now()) else found
    except Unavailable:
        return Look(Tone.AWAY)


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
        lambda held: _keys(held, _good(health.check_hsm()["ok"])),
        {
            Tone.GOOD: _("Makes signatures: cards can be activated."),
            Tone.LATE: _("Makes signatures, but a key that signs ends within weeks: the operators put a new one in its place."),
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
            Tone.AWAY: _(
                "Cannot be read, or is not what was signed before: nothing more is signed until the operators have found out why."
            ),
        },
    ),
    Part(
        _("Witness of the log"),
        _witness,
        {
            Tone.GOOD: _("Has seen what was signed, as far as one is set up: another host remembers it."),
            Tone.LATE: _("Does not answer. What is signed meanwhile is shown to it when it is back; other work goes on."),
            Tone.AWAY: _("Remembers something else than this installation: the operators find out which of both was put back or changed."),
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
    Part(
        _("Background work"),
        lambda _held: _good(time_health.check_worker()["ok"]),
        {
            Tone.GOOD: _("Messages are sent, files are worked on."),
            Tone.AWAY: _("Stands still: messages and files wait until it runs again. Other work goes on."),
        },
    ),
    Part(
        _("Clock"),
        lambda _held: _good(time_health.check_clock()["ok"]),
        {
            Tone.GOOD: _("Agrees with what was recorded before."),
            Tone.AWAY: _("Is not trusted: nothing is approved, issued or signed until it is right, and nothing expires meanwhile."),
        },
    ),
)
_THREADS = [ThreadPoolExecutor(1, f"status-{number}") for number in range(len(PARTS))]


def seen(app: Flask) -> list[Seen]:
    """Check all parts at the same time. A part that does not answer in time is not available."""
    looks = [thread.submit(_look, app, part) for thread, part in zip(_THREADS, PARTS, strict=True)]
    until = time.monotonic() + PATIENCE
    return [Seen(part, _answer(look, until)) for part, look in zip(PARTS, looks, strict=True)]


def _look(app: Flask, part: Part) -> Look:
    with app.app_context(), deadline.limit(PATIENCE):
        return part.look(resources(app))


def has_database(found: list[Seen]) -> bool:
    """Return whether the database has just answered: the first part."""
    return found[0].look.tone is Tone.GOOD


def _answer(look: Future[Look], until: float) -> Look:
    try:
        return look.result(max(0.0, until - time.monotonic()))
    except TooLate:
        look.cancel()  # a check that has not begun is dropped, so none pile up behind one that hangs
        return Look(Tone.AWAY)
