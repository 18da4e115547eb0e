"""The schemas of receipts that differ from their BAST, and of what becomes of missing cards."""

from __future__ import annotations

from pydantic import Field

from sifilma.cards.identifiers import Uid
from sifilma.identity.fields import SignatoryIn
from sifilma.kernel.schemas import NoteIn, Prose, Strict

Cards = list[Uid]


class DifferenceIn(Strict):
    """A card that did not come, or came damaged, and what was seen."""

    sam_uid: Uid
    note: Prose = Field(min_length=3, max_length=500)


class ReceiptIn(NoteIn):
    """What came of a BAST. Without `missing` and `damaged` all of it came.

    With either, `received` names the others, or is left out: then all others came. `place` and who signs are for the paper: without them
    it is the receiver's own place, the person who receives, and who signed the BAST for the issuer.
    """

    received: Cards | None = None
    missing: list[DifferenceIn] = Field(default_factory=list)
    damaged: list[DifferenceIn] = Field(default_factory=list)
    place: str = Field("", max_length=200)
    receiver_signatory: SignatoryIn | None = None
    issuer_signatory: SignatoryIn | None = None


class MissingIn(NoteIn):
    """Missing cards of a BAST that turned up, here or there."""

    cards: list[Uid] = Field(min_length=1)


class LostIn(MissingIn):
    """Missing cards that the issuer declares lost, with the number of the report to the police."""

    police_report: str = Field(min_length=3, max_length=100)
