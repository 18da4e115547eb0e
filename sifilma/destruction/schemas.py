"""The schemas of destructions, for JSON and forms."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.cards.identifiers import Uid
from sifilma.cards.schemas import StepOut
from sifilma.identity.fields import SignatoryIn
from sifilma.kernel.days import Moment
from sifilma.kernel.schemas import Prose, Strict
from sifilma.personalisation.schemas import ApprovalOut


class DestructionIn(Strict):
    """Which cards are to be destroyed, and why."""

    cards: list[Uid] = Field(min_length=1, max_length=1000)
    cause: Literal["damaged", "locked", "revoked"]
    note: Prose = Field("", max_length=2000)


class OfficialIn(SignatoryIn):
    """Who was responsible for the destruction."""


class WitnessIn(SignatoryIn):
    """Who saw it."""

    office: str = Field(min_length=2, max_length=200)


class RecordIn(Strict):
    """The Berita Acara: where, when, how, by whom, seen by whom. `executed_at` carries its zone."""

    place: str = Field(min_length=3, max_length=500)
    executed_at: Moment
    method: str = Field(min_length=3, max_length=500)
    official: OfficialIn
    witnesses: list[WitnessIn] = Field(min_length=2, max_length=20)


class DestructionBrief(BaseModel):
    """A destruction in a list."""

    id: UUID
    state: str
    organisation: dict[str, Any]
    cause: str
    notes: str
    digest: str | None
    approvals: list[ApprovalOut]
    number: str | None
    created_at: datetime
    links: dict[str, str]


class DestructionOut(DestructionBrief):
    """A destruction with its cards and, once executed, its Berita Acara."""

    cards: list[str]
    place: str | None
    executed_at: datetime | None
    method: str | None
    official: dict[str, Any] | None
    witnesses: list[dict[str, Any]]
    photos: list[str]
    record_digest: str | None
    legal_basis: str | None
    history: list[StepOut]
