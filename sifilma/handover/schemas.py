"""The schemas of handovers, for JSON and forms."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.cards.identifiers import Uid
from sifilma.cards.schemas import StepOut
from sifilma.handover.models import HandoverKind, ReturnReason
from sifilma.identity.fields import SignatoryIn
from sifilma.kernel.schemas import Prose, Strict

MOST_PRINTED = 50
"""BASTs in one print file."""


class HandoverIn(Strict):
    """Which cards go to whom; where, and who signs.

    A `return` goes from a holder back to the maker of the cards or to the directorate, with a reason. Without `place` it is the issuer's
    own. Without `issuer_signatory` the person who issues signs; without `receiver_signatory` the paper has dots, to be filled in by hand.
    """

    kind: HandoverKind = HandoverKind.DELIVERY
    reason: ReturnReason | None = None
    to: UUID
    cards: list[Uid] = Field(min_length=1)
    notes: Prose = Field("", max_length=2000)
    place: str = Field("", max_length=200)
    issuer_signatory: SignatoryIn | None = None
    receiver_signatory: SignatoryIn | None = None


class SignatoryOut(BaseModel):
    """Who signs for a side. Id numbers stand on the paper alone."""

    side: str
    name: str
    position: str


class PaperOut(BaseModel):
    """The file of a BAST as it was issued: its SHA-256 (hex), size in bytes, and the template with its version."""

    sha256: str
    size: int
    template: str


class HandoverBrief(BaseModel):
    """A handover in a list."""

    id: UUID
    state: str
    kind: str
    reason: str | None
    number: str
    issuer: dict[str, Any]
    receiver: dict[str, Any]
    issued_at: datetime
    count: int
    links: dict[str, str]


class DifferenceOut(BaseModel):
    """A card that did not come, or came damaged: what was noted, and what became of it (`state`)."""

    sam_uid: str
    state: str
    note: str
    police_report: str


class DiscrepancyOut(BaseModel):
    """What a receipt differs from its BAST in, with its paper. `links` has what the actor's side can say of missing cards."""

    number: str
    recorded_at: datetime
    place: str
    notes: str
    digest: str
    signatories: list[SignatoryOut]
    paper: PaperOut | None
    cards: list[DifferenceOut]
    links: dict[str, str]


class HandoverOut(HandoverBrief):
    """A handover with its cards. `discrepancy` is what its receipt differed in, null if nothing did."""

    notes: str
    digest: str
    place: str | None
    signatories: list[SignatoryOut]
    paper: PaperOut | None
    cards: list[str]
    discrepancy: DiscrepancyOut | None
    history: list[StepOut]


class PrintListIn(Strict):
    """Which BASTs of the list are printed: those with this part of the number, in this state; empty: all."""

    number: str = Field("", max_length=60)
    state: str = Field("", max_length=20)


class PrintIn(Strict):
    """The BASTs that are printed together, in this order."""

    handovers: list[UUID] = Field(min_length=1, max_length=MOST_PRINTED)
