"""The schemas of proposals to suspend a card for its place, for JSON and forms."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.cards.schemas import StepOut
from sifilma.kernel.schemas import Prose, Strict


class SuspensionDecisionIn(Strict):
    """A decision on a proposal: suspend the card at once, or drop the proposal; with a note."""

    decision: Literal["suspend", "drop"]
    note: Prose = Field(min_length=3, max_length=2000)


class LiftIn(Strict):
    """Why a suspension is lifted."""

    note: Prose = Field(min_length=3, max_length=2000)


class PlaceSuspensionBrief(BaseModel):
    """A proposal to suspend a card for its place. `due_at` is when the card is suspended without a decision.

    `activation` is null for whoever may see the suspension but not the activation: a province, of its regencies.
    """

    id: UUID
    state: str
    card: str
    card_state: str
    activation: UUID | None
    organisation_id: UUID
    organisation: str
    reason: str
    proposed_at: datetime
    due_at: datetime
    decided_at: datetime | None
    links: dict[str, str]


class PlaceSuspensionOut(PlaceSuspensionBrief):
    """A proposal with its steps."""

    history: list[StepOut]
