"""The schemas of cards and units, for JSON and forms."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.cards.identifiers import HardwareNumber, Pcid
from sifilma.kernel.schemas import Strict
from sifilma.kernel.text import Sentence


class UnitIn(Strict):
    """One reader or encoder to be registered."""

    hardware_number: HardwareNumber
    model: str = Field(min_length=1, max_length=80)
    function: Literal["R", "RW"]
    pcid: Pcid | None = None
    sam_perso: str = Field("", max_length=16)
    public_jwk: dict[str, Any] | None = None


class SupplyIn(Strict):
    """What a registered unit lacked."""

    pcid: Pcid
    sam_perso: str = Field("", max_length=16)
    public_jwk: dict[str, Any] | None = None


class ReportIn(Strict):
    """What happened to a card."""

    condition: Literal["damaged", "locked", "lost", "found"]
    note: str = Field(min_length=3, max_length=2000)


class UnitOut(BaseModel):
    """A unit, and the card in it."""

    id: UUID
    state: str
    hardware_number: str
    model: str
    function: str
    pcid: str | None
    sam_perso: str
    organisation_id: UUID
    card: str | None
    has_public_key: bool
    warnings: list[Sentence]
    links: dict[str, str]


class CardOut(BaseModel):
    """A card: where it is in its life, who holds it, which unit it is tied to."""

    id: UUID
    uid: str
    state: str
    function: str
    holder_id: UUID
    buyer_id: UUID
    unit: str | None
    unit_id: UUID | None
    key_version: int
    kcv: str
    seq: int
    changed_at: datetime
    links: dict[str, str]


class StepOut(BaseModel):
    """One step of a life. `fields`: the notes on fields, of a step that returned a request."""

    at: datetime
    from_state: str
    to_state: str
    note: str
    fields: dict[str, str]
    act: UUID
    user_id: UUID | None


class ModelOut(BaseModel):
    """A model of reader or encoder."""

    id: UUID
    name: str
    function: str
    manufacturer_id: UUID
