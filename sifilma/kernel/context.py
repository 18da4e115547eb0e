"""What a service is given: who acts, what time it is, and the unit of work."""

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
    """The arguments every service shares. `request_id` ties log lines and audit entries together."""

    uow: UnitOfWork
    clock: Clock
    actor: Actor = SYSTEM
    request_id: str = ""

    @property
    def session(self) -> Session:
        """The database session of the unit of work."""
        return self.uow.session

    @property
    def now(self) -> datetime:
        """The present moment (UTC)."""
        return self.clock.now()


@dataclass(frozen=True)
class Act:
    """One recorded act: its audit entry's id, its moment and its user. Every state change names the act behind it."""

    id: UUID
    at: datetime
    user_id: UUID | None
