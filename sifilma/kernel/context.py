"""The context that every service gets: the actor, the clock and the unit of work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from sifilma.kernel.actor import SYSTEM, Actor
from sifilma.kernel.clock import Clock
from sifilma.kernel.timekeeping.watch import ClockWatch, Finding
from sifilma.kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Context:
    """The arguments that all services share. `request_id` connects log lines with audit entries.

    `warnings` collects what the caller should know beside the outcome, whether the act succeeds or is refused.

    `watch` is that of the application; a Context on a clock of its own (tests, backdated demonstrations) has none, and trusts the clock.
    Services take them from here and never from Flask's `request`, `g` or `session`: commands and jobs call the same services.
    """

    uow: UnitOfWork
    clock: Clock
    actor: Actor = SYSTEM
    request_id: str = ""
    watch: ClockWatch | None = None
    warnings: list[str] = field(default_factory=list)

    def warn(self, sentences: Iterable[str]) -> None:
        """Add warnings for the caller, each once."""
        self.warnings.extend(sentence for sentence in dict.fromkeys(sentences) if sentence not in self.warnings)

    @property
    def session(self) -> Session:
        """Return the database session of the unit of work."""
        return self.uow.session

    @property
    def now(self) -> datetime:
        """Return the present moment (UTC). While the wall clock is set wrong this is the last trusted moment and the seconds since."""
        return self.watch.now() if self.watch else self.clock.now()

    @property
    def trusted_now(self) -> datetime:
        """Return the present moment for what is dated for good or ends for good. Raise ClockNotTrusted. Asks no database."""
        return self.watch.trusted_now() if self.watch else self.clock.now()

    def due_until(self) -> datetime:
        """Return the moment until which time ends things for good. Raise ClockNotTrusted; asks as `require_trusted_clock` does."""
        self.require_trusted_clock()
        return self.watch.due_until() if self.watch else self.clock.now()

    @property
    def clock_finding(self) -> Finding | None:
        """Return why the clock is not trusted, or None. Asks no database."""
        return self.watch.finding() if self.watch else None

    def require_trusted_clock(self) -> None:
        """Raise ClockNotTrusted. Services call it first in acts that are dated for good; asks one statement every ten seconds at most."""
        if self.watch:
            self.watch.require(self.session)


@dataclass(frozen=True)
class Act:
    """One recorded act: the id of its audit entry, its moment and its user. Every state change names the act that caused it."""

    id: UUID
    at: datetime
    user_id: UUID | None
