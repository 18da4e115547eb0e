"""The context that every service gets: the actor, the clock and the unit of work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from sifilma.kernel.actor import SYSTEM, Actor
from sifilma.kernel.clock import Clock
from sifilma.kernel.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Context:
    """The arguments that all services share. `request_id` connects log lines with audit entries.

    Services take them from here and never from Flask's `request`, `g` or `session`: commands and jobs call the same services.
    """

    uow: UnitOfWork
    clock: Clock
    actor: Actor = SYSTEM
    request_id: str = ""

    @property
    def session(self) -> Session:
        """Return the database session of the unit of work."""
        return self.uow.session

    @property
    def now(self) -> datetime:
        """Return the present moment (UTC)."""
        return self.clock.now()


@dataclass(frozen=True)
class Act:
    """One recorded act: the id of its audit entry, its moment and its user. Every state change names the act that caused it."""

    id: UUID
    at: datetime
    user_id: UUID | None
