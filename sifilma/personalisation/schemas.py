"""Input and output schemas of personalisation requests and their results."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.cards.identifiers import HardwareNumber, Kcv, Pcid, Uid
from sifilma.cards.schemas import StepOut
from sifilma.kernel.days import Day
from sifilma.kernel.schemas import Prose, Remark, Remarks, ReturnIn, Strict
from sifilma.kernel.text import Sentence

MOST = 2**31 - 1
"""What a column holds. A request has no other limit than the memory of what reads it."""


class LetterIn(Strict):
    """The letter behind a request."""

    letter_number: str = Field(min_length=3, max_length=100)
    letter_date: Day
    subject: str = Field(min_length=3, max_length=300)
    notes: Prose = Field("", max_length=2000)


class PersonalisationIn(LetterIn):
    """A request as drafted. `on_behalf_of` and the purchase order are a manufacturer's.

    `replaces` names cards out of use, one for each card that is asked for: then no purchase order and no batch is needed, and an
    institution asks for itself.
    """

    function: Literal["R", "RW"]
    quantity: int | None = Field(None, ge=1, le=MOST)
    on_behalf_of: UUID | None = None
    purchase_order_number: str = Field("", max_length=100)
    replaces: list[Uid] = Field(default_factory=list)


class PersonalisationRemarks(Remarks):
    """Notes on the fields of a request for cards."""

    letter_number: Remark = ""
    letter_date: Remark = ""
    subject: Remark = ""
    letter: Remark = ""
    notes: Remark = ""
    function: Remark = ""
    quantity: Remark = ""
    replaces: Remark = ""
    on_behalf_of: Remark = ""
    purchase_order_number: Remark = ""
    purchase_order: Remark = ""
    batch: Remark = ""


class PersonalisationReturnIn(ReturnIn):
    """A return for correction: a note on the whole, notes on fields, or both. One is required."""

    fields: PersonalisationRemarks = Field(default_factory=PersonalisationRemarks)


class BatchRowIn(Strict):
    """One row of a batch: the unit a card is for, and what is known of the card."""

    hardware_number: HardwareNumber
    model: str = Field(min_length=1, max_length=80)
    pcid: Pcid
    sam_uid: Uid | None = None
    sam_perso: str = Field("", max_length=16)
    outlet: str = Field("", max_length=200)


class ResultIn(Strict):
    """The result of one card."""

    sam_uid: Uid
    outcome: Literal["personalised", "failed"]
    hardware_number: HardwareNumber | None = None
    kcv: Kcv | None = None


class ResultsIn(Strict):
    """Some or all results of a request."""

    results: list[ResultIn] = Field(min_length=1)


class CloseIn(Strict):
    """Why a request is closed with a remainder; with a decision where a proposal waits for one."""

    reason: Prose = Field(min_length=3, max_length=2000)
    decision: Literal["execute", "reject"] = "execute"


class ClosingOut(BaseModel):
    """The newest proposal to close a request. `remainder` counts the cards that are not made, once it is executed."""

    state: str
    reason: str
    proposed_at: datetime
    remainder: int | None


class ApprovalOut(BaseModel):
    """One approval."""

    user_id: UUID
    digest: str
    note: str
    at: datetime


class PersonalisationBrief(BaseModel):
    """A request in a list."""

    id: UUID
    state: str
    requester: dict[str, Any]
    buyer: dict[str, Any]
    function: str
    quantity: int
    letter_number: str
    letter_date: date
    subject: str
    digest: str | None
    approvals: list[ApprovalOut]
    required_approvals: int
    verified: bool
    created_at: datetime
    submitted_at: datetime | None
    links: dict[str, str]


class PersonalisationOut(PersonalisationBrief):
    """A request with all it holds: files by their SHA-256, the batch row by row, its cards so far, its history.

    `batch_job` is the job that takes in the batch of many rows of a draft: `batch` is whole when it is completed without an error.
    `made` counts the personalised cards, `remaining` those still to be made: none once it is completed or closed.
    """

    notes: str
    purchase_order_number: str
    files: dict[str, str | None]
    batch: list[dict[str, Any]]
    batch_job: UUID | None
    replaces: list[str]
    cards: list[dict[str, Any]]
    made: int
    remaining: int
    closing: ClosingOut | None
    history: list[StepOut]
    warnings: list[Sentence]
