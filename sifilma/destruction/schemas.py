"""The schemas of destructions, for JSON and forms."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from sifilma.cards.identifiers import Uid
from sifilma.cards.schemas import StepOut
from sifilma.identity.models import IdKind
from sifilma.kernel.days import Moment
from sifilma.kernel.schemas import Strict
from sifilma.kernel.text import say
from sifilma.personalisation.schemas import ApprovalOut


class DestructionIn(Strict):
    """Which cards are to be destroyed, and why."""

    cards: list[Uid] = Field(min_length=1, max_length=1000)
    cause: Literal["damaged", "locked", "revoked"]
    note: str = Field("", max_length=2000)


class PersonIn(Strict):
    """A person named in a Berita Acara. A number of 16 digits is refused: it may be a NIK (docs/domain.md, rule 12)."""

    name: str = Field(min_length=3, max_length=200)
    id_kind: IdKind
    id_number: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9./-]+$")

    @model_validator(mode="after")
    def _number_fits(self) -> PersonIn:
        digits = {IdKind.NIP: 18, IdKind.NRP: 8}.get(self.id_kind)
        if digits is not None and not (len(self.id_number) == digits and self.id_number.isdigit()):
            raise ValueError(say("a %(kind)s has %(digits)s digits", kind=self.id_kind.upper(), digits=digits))
        if len(self.id_number) == 16 and self.id_number.isdigit():
            raise ValueError("16 digits look like a NIK, which is never entered here")
        return self


class OfficialIn(PersonIn):
    """Who was responsible for the destruction."""

    position: str = Field(min_length=2, max_length=200)


class WitnessIn(OfficialIn):
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
