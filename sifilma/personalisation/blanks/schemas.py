"""The schemas of the ledger of blank SAMs, for JSON and forms."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.cards.identifiers import Uid
from sifilma.cards.schemas import StepOut
from sifilma.kernel.days import Day
from sifilma.kernel.schemas import Prose, Strict
from sifilma.kernel.text import Sentence

MOST = 10_000


class BlankRowIn(Strict):
    """One row of a file of blanks."""

    sam_uid: Uid


class BlankDeliveryIn(Strict):
    """A delivery: its note, its supplier, its day, the number of blanks that the note states, and their UIDs (here, or in a file)."""

    number: str = Field(min_length=2, max_length=100)
    supplier: str = Field(min_length=3, max_length=200)
    delivered_on: Day
    count: int | None = Field(None, ge=1, le=MOST)
    notes: Prose = Field("", max_length=2000)
    cards: list[Uid] = Field(default=[], max_length=MOST)


class BlankIssueIn(Strict):
    """Blanks that are issued for a request: by their UIDs, or so many of the oldest."""

    personalisation_request: UUID
    count: int | None = Field(None, ge=1, le=MOST)
    cards: list[Uid] = Field(default=[], max_length=MOST)


class BlankReturnIn(Strict):
    """Blanks that come back to the store unused."""

    cards: list[Uid] = Field(min_length=1, max_length=MOST)
    note: Prose = Field(min_length=3, max_length=2000)


class BlankStockOut(BaseModel):
    """The counts of the ledger. `delivered` is the sum of the others. `low`: fewer are left than the setting wants."""

    delivered: int
    left: int
    issued: int
    personalised: int
    failed: int
    withdrawn: int
    low: bool


class BlankDeliveryBrief(BaseModel):
    """A delivery, with its counts by state."""

    id: UUID
    state: str
    number: str
    supplier: str
    delivered_on: date
    count: int
    counts: dict[str, int]
    recorded_at: datetime
    links: dict[str, str]


class BlankDeliveryOut(BlankDeliveryBrief):
    """A delivery with its blanks, their digest, and its steps."""

    notes: str
    digest: str
    cards: list[dict[str, str | None]]
    history: list[StepOut]
    warnings: list[Sentence]


class BlankCardOut(BaseModel):
    """One blank SAM: its state, and the request it was issued for."""

    sam_uid: str
    state: str
    delivery: UUID
    personalisation_request: UUID | None
