"""What comes in for a review by the API, and as the fields of its form."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from sifilma.access_review.models import Outcome
from sifilma.access_review.service import Decision
from sifilma.kernel.actor import Role
from sifilma.kernel.schemas import Strict


class DecisionIn(Strict):
    """What is decided of one account in a review. `roles` are those it was shown with."""

    line: UUID
    outcome: Literal["confirmed", "ended"]
    roles: list[Role] = Field(max_length=5)

    def decision(self) -> Decision:
        """Return the values for the service."""
        return Decision(self.line, Outcome(self.outcome), frozenset(self.roles))


class DecisionsIn(Strict):
    """What is decided of accounts in a review, in one act."""

    decisions: list[DecisionIn] = Field(min_length=1, max_length=200)
