"""The schemas of handovers, for JSON and forms."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.cards.identifiers import Uid
from sifilma.cards.schemas import StepOut
from sifilma.kernel.schemas import Strict


class HandoverIn(Strict):
    """Which cards go to whom."""

    to: UUID
    cards: list[Uid] = Field(min_length=1, max_length=10_000)
    notes: str = Field("", max_length=2000)


class HandoverBrief(BaseModel):
    """A handover in a list."""

    id: UUID
    state: str
    number: str
    issuer: dict[str, Any]
    receiver: dict[str, Any]
    issued_at: datetime
    count: int
    links: dict[str, str]


class HandoverOut(HandoverBrief):
    """A handover with its cards."""

    notes: str
    digest: str
    cards: list[str]
    history: list[StepOut]
