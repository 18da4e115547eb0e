"""How this database stands to its witness: whether it knows all that the witness knows, and whether the witness is the one it was.

A database that is behind gives nothing out: it would give it out a second time. Each process compares at its start, each minute, and after
each new connection to the database, which may be another one than before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from weakref import WeakKeyDictionary, ref

import structlog
from sqlalchemy import Engine, event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.kernel.errors import Unavailable
from sifilma.kernel.text import say
from sifilma.witness import row, statements
from sifilma.witness.contract import AGAIN, Witness, WitnessAway, WitnessDiffers
from sifilma.witness.models import Reconciliation, WitnessStatement
from sifilma.witness.opening import open_witness
from sifilma.witness.statements import StatementRefused

EVERY = 60.0
"""Seconds between two comparisons."""
Judge = Callable[[bytes, int, str], object]
"""Raises StatementRefused unless this installation signed a statement of this number, which follows the one with this SHA-256."""
log = structlog.get_logger()


class BehindWitness(Unavailable):
    """The witness knows more than the database: an older one was brought back."""

    type = "behind-witness"
    title: str = say("This database is older than what was already issued")

    def __init__(self) -> None:
        super().__init__(
            say(
                "Nothing was changed. An older database was brought back, and what it would issue was given out before. Reading goes on. "
                "The operator reconciles it with the witness (sifilma restore reconcile)."
            ),
            retry_after=300,
        )


class State(StrEnum):
    """What a comparison found. All but the first two are alarms."""

    NONE = "none"
    SOUND = "sound"
    AWAY = "away"
    BEHIND = "behind"
    OLDER = "older"
    FORGED = "forged"


@dataclass(frozen=True)
class Found:
    """The outcome of a comparison. `why` is for operators; `told` counts the witness's statements, `own` those of the database."""

    state: State
    why: str = ""
    told: int = 0
    own: int = 0


class Standing:
    """What one process knows of its database and its witness."""

    def __init__(self, settings: Callable[[], Settings], judge: Judge) -> None:
        self._settings, self._judge = settings, judge
        self._found: Found | None = None
        self._compared = 0.0
        self._is_new, self._comparing = threading.Event(), threading.Lock()
        self._connections = count()
        self._doubts = self._settled = -1  # the newest connection, and the one that the last comparison knew of when it began
        self._lifted = threading.local()

    @property
    def is_witnessed(self) -> bool:
        """Return whether a witness is configured. Else everything goes on without one."""
        return bool(self._settings().witness)

    @property
    def is_behind(self) -> bool:
        """Return whether the last comparison found that the witness knows more than the database."""
        return self._found is not None and self._found.state is State.BEHIND

    @property
    def witness(self) -> Witness | None:
        """Return the witness of the settings."""
        return open_witness(self._settings())

    def attach(self, engine: Engine) -> None:
        """Have this engine's sessions find it, and compare anew after each new connection."""
        _known[engine] = ref(self)
        event.listen(engine, "connect", self._doubt)

    def _doubt(self, *_: object) -> None:
        self._doubts = next(self._connections)
        self._is_new.set()

    def begin(self) -> None:
        """Know nothing yet, in a process that was just forked."""
        self._found = None
        self._is_new, self._comparing = threading.Event(), threading.Lock()
        self._doubt()

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Let this thread do what a database that is behind may not: reconcile it."""
        self._lifted.on = True
        try:
            yield
        finally:
            self._lifted.on = False

    def require(self, session: Session) -> None:
        """Raise BehindWitness if the witness knows more than the database. Asks both if that was EVERY ago, or after a new connection."""
        if not self.is_witnessed or getattr(self._lifted, "on", False):
            return
        if self.look(session).state is State.BEHIND:
            raise BehindWitness()

    def look(self, session: Session) -> Found:
        """Return how things stand, by the last comparison if that is not old.

        Whoever comes while a thread compares waits for what it finds: what was found before is of another connection.
        """
        if (found := self._settled_found()) is not None:
            return found
        with self._comparing:
            return self._settled_found() or self.compare(session)

    def _settled_found(self) -> Found | None:
        """Return what the last comparison found, or None if it is to be made anew. A witness that was away is given AGAIN seconds."""
        found, now = self._found, time.monotonic()
        if found is None or found.state is State.NONE or now - self._compared > 2 * EVERY:
            return None
        is_quiet = found.state in (State.AWAY, State.BEHIND) and now - self._compared < AGAIN
        return found if is_quiet or self._settled == self._doubts else None

    def compare(self, session: Session) -> Found:
        """Compare now. A witness that is away leaves what was found before, if that was behind."""
        witness = self.witness
        if witness is None:
            self._found = Found(State.NONE)
            return self._found
        self._is_new.clear()
        seen = self._doubts
        try:
            found = self._compare(session, witness)
        except WitnessAway as away:
            was_behind = self._found is not None and self._found.state is State.BEHIND
            found = Found(State.BEHIND if was_behind else State.AWAY, str(away), own=row.newest(session)[0])
        except WitnessDiffers as gap:
            found = Found(State.FORGED, str(gap), own=row.newest(session)[0])
        if self._found is None or self._found.state is not found.state:
            _alarm(found)
        self._found, self._compared, self._settled = found, time.monotonic(), seen
        return found

    def _compare(self, session: Session, witness: Witness) -> Found:
        own, sha256 = row.newest(session)
        told = row.newest_told(session)
        if session.scalar(select(Reconciliation.id).where(Reconciliation.ended_at.is_(None)).limit(1)) is not None:
            return Found(State.BEHIND, "a backup was brought back and is not reconciled yet", own=own)
        if getattr(witness, "is_silent", False):  # a mailbox takes statements, and is read by people
            return Found(State.SOUND, told=told, own=own)
        there = witness.count()
        if there < told:
            return Found(State.OLDER, f"it has {there} statements, and was told {told}", there, own)
        common = min(there, own)
        if common:
            expected = sha256 if common == own else sha256_of(session, common)
            content = witness.read(common)
            if statements.digest(content) != expected:
                before = sha256_of(session, common - 1) if common > 1 else ""
                return self._strange(content, common, before, f"its statement {common} is another one", there, own)
        if there > own:
            return self._strange(witness.read(own + 1), own + 1, sha256, f"it has {there} statements", there, own)
        return Found(State.SOUND, told=there, own=own)

    def _strange(self, content: bytes, number: int, previous: str, why: str, count: int, own: int) -> Found:
        """Judge a statement that the database does not have: of this installation, the database is behind; else it is forged."""
        try:
            self._judge(content, number, previous)
        except StatementRefused as refused:
            try:  # it may follow statements that the database does not have either
                self._judge(content, number, statements.claim(content).previous)
            except StatementRefused:
                return Found(State.FORGED, str(refused), count, own)
        return Found(State.BEHIND, f"{why}, and the database knows {own}", count, own)

    def follow(self, sessions: Callable[[], Session]) -> None:
        """Compare from now on each minute and after each new connection, in a thread of this process."""

        def run() -> None:
            while True:
                try:
                    with sessions() as session:
                        session.connection(execution_options={"sifilma_read_only": True})
                        self.compare(session)
                except SQLAlchemyError as away:
                    log.warning("witness_not_compared", reason=type(away).__name__)
                self._is_new.wait(EVERY)
                time.sleep(1)  # new connections come by many at a time

        if self.is_witnessed:
            threading.Thread(target=run, name="standing", daemon=True).start()


def _alarm(found: Found) -> None:
    """Log what a comparison found, where that is not as it should be."""
    more = {"reason": found.why, "statements": found.told, "own": found.own}
    if found.state is State.BEHIND:
        log.error("witness_ahead", **more)
    elif found.state is State.OLDER:
        log.error("witness_older", **more)
    elif found.state is State.FORGED:
        log.error("witness_forged", **more)
    elif found.state is State.AWAY:
        log.error("witness_away", reason=found.why)


def sha256_of(session: Session, number: int) -> str:
    """Return the SHA-256 of a statement as this database knows it, an empty text for an unknown one."""
    return session.scalar(select(WitnessStatement.sha256).where(WitnessStatement.number == number)) or ""


def is_behind(engine: Engine) -> bool:
    """Return whether the last comparison of this process found the database behind its witness. Asks neither."""
    mine = _of(engine)
    return mine is not None and mine.is_behind


def begin(engine: Engine) -> None:
    """Know nothing of this database yet, and compare from now on in a thread: for a process that serves or works."""
    mine = _of(engine)
    if mine is not None:
        mine.begin()
        mine.follow(lambda: Session(engine))


def forget(session: Session) -> None:
    """Have the next question about this session's database compare anew."""
    of(session).begin()


_known: WeakKeyDictionary[Engine, ref[Standing]] = WeakKeyDictionary()
"""By weak references alone: a Standing knows its application, which knows its engine, and none of them would ever go."""
_UNWITNESSED = Standing(lambda: Settings.model_construct(witness=""), lambda *_: None)


def of(session: Session) -> Standing:
    """Return the standing of a session's database. One that nobody attached has no witness."""
    bound = session.get_bind()
    return _of(bound if isinstance(bound, Engine) else bound.engine) or _UNWITNESSED


def _of(engine: Engine) -> Standing | None:
    known = _known.get(engine)
    return known() if known is not None else None
