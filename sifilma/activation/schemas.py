"""The schemas of activation requests, activations and manifests, for JSON and forms."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sifilma.cards.identifiers import HardwareNumber, Uid
from sifilma.cards.schemas import StepOut
from sifilma.kernel.schemas import Prose, Remark, Remarks, ReturnIn, Strict
from sifilma.kernel.text import Sentence
from sifilma.personalisation.schemas import ApprovalOut, LetterIn
from sifilma.regions import coordinates

MOST_TOGETHER = 200
"""Cards that are activated at one place in one go. More of them are activated by file, or one lot after the other."""


class ReplacementIn(Strict):
    """A card, the machine that takes it instead of the one it is tied to, and what happened to that one."""

    sam_uid: Uid
    hardware_number: HardwareNumber
    reason: Prose = Field(min_length=3, max_length=2000)


class ActivationRequestIn(LetterIn):
    """A request as drafted: which cards, and why. `cards` and `machines` of a replacement may be left out: `replacements` says them."""

    kind: Literal["new", "relocation", "renewal", "replacement"] = "new"
    personalisation_request: UUID | None = None
    machines: int = Field(ge=1, le=2**31 - 1)  # what a column holds
    cards: list[Uid] = Field(min_length=1)
    replacements: list[ReplacementIn] = Field(default_factory=list, max_length=10_000)

    @model_validator(mode="before")
    @classmethod
    def with_its_cards(cls, given: Any) -> Any:
        """Return what was given with the cards and their number, where the replacements say them."""
        if not isinstance(given, dict) or given.get("kind") != "replacement" or not isinstance(given.get("replacements"), list):
            return given
        uids = [one["sam_uid"] for one in given["replacements"] if isinstance(one, dict) and "sam_uid" in one]
        return {"cards": uids, "machines": len(uids)} | given


class ActivationRemarks(Remarks):
    """Notes on the fields of an activation request."""

    letter_number: Remark = ""
    letter_date: Remark = ""
    subject: Remark = ""
    letter: Remark = ""
    notes: Remark = ""
    kind: Remark = ""
    cards: Remark = ""
    machines: Remark = ""
    personalisation_request: Remark = ""


class ActivationReturnIn(ReturnIn):
    """A return for correction: a note on the whole, notes on fields, or both. One is required."""

    fields: ActivationRemarks = Field(default_factory=ActivationRemarks)


AT_OUTLET: dict[str, Any] = {
    "latitude": 0, "longitude": 0, "accuracy_m": 0, "source": "typed", "address": "at the outlet", "region_code": "00.00.00.0000",
}  # fmt: skip
"""What stands in the fields of a place while it is that of an outlet (`placed` of `sifilma/activation/issuing/rules.py`)."""


def _either(schema: dict[str, Any]) -> None:
    """Say in the OpenAPI document that the fields of a place are required without an outlet only."""
    required = schema.get("required", [])
    stated = [name for name in required if name in AT_OUTLET]
    schema["required"] = [name for name in required if name not in stated]
    schema["anyOf"] = [{"required": ["outlet"]}, {"required": stated}]


class PlaceIn(Strict):
    """Where machines stand. Degrees (WGS 84), accuracy in metres. The reason is needed where the position does not fit the village.

    `outlet` (id, branch code or name) takes the place of all but the reason.
    """

    model_config = ConfigDict(json_schema_extra=_either)

    outlet: str = Field("", max_length=200)
    latitude: float = Field(allow_inf_nan=False)
    longitude: float = Field(allow_inf_nan=False)
    accuracy_m: float = Field(0, ge=0, le=1_000_000, allow_inf_nan=False)
    source: Literal["device", "map", "typed"]
    address: str = Field(min_length=3, max_length=500)
    region_code: str = Field(min_length=10, max_length=20)
    reason: Prose = Field("", max_length=2000)

    @model_validator(mode="before")
    @classmethod
    def at_its_outlet(cls, given: Any) -> Any:
        """Return what was given, with something in each field that the outlet will fill."""
        return AT_OUTLET | given if isinstance(given, dict) and given.get("outlet") else given


class CardIn(Strict):
    """A card, its token, and the machine it is put into."""

    sam_uid: Uid
    token: str = Field(min_length=1, max_length=64)
    hardware_number: HardwareNumber


class ActivationIn(PlaceIn, CardIn):
    """One card to be opened in one machine at one place."""


class OpenCardIn(CardIn):
    """A card among several at one place. Without its token the open one is taken, for people who may see their tokens."""

    token: str = Field("", max_length=64)


class TogetherIn(PlaceIn):
    """Several cards to be opened at one place, each in a machine of its own."""

    cards: list[OpenCardIn] = Field(min_length=1, max_length=MOST_TOGETHER)


class TypedPlaceIn(PlaceIn):
    """A place as people write it, in a form or a file: coordinates as `coordinates` reads them, numbers with comma or point."""

    _degrees = field_validator("latitude", "longitude", mode="before")(coordinates.as_written)

    @field_validator("accuracy_m", mode="before")
    @classmethod
    def with_a_point(cls, value: object) -> object:
        """Return a number with a point: spreadsheets here write `12,5`."""
        return value.replace(",", ".") if isinstance(value, str) else value


class TypedActivationIn(TypedPlaceIn, ActivationIn):
    """An activation as people write it."""


class TypedTogetherIn(TypedPlaceIn, TogetherIn):
    """Several activations at one place as people write it."""


class ReviewIn(Strict):
    """What the operator found about a place."""

    decision: Literal["accepted", "rejected"]
    note: Prose = Field(min_length=3, max_length=2000)


class DownloadIn(Strict):
    """How the file is wanted: as it is, or as a JWE to the unit's key (the only form a machine gets)."""

    form: Literal["jws", "jwe"] = "jws"


class ArchiveIn(Strict):
    """Which manifests are wanted in one file: those of an activation request, of a job, of a card, of a state; or all."""

    activation_request: UUID | None = None
    job: UUID | None = None
    sam_uid: Uid | None = None
    state: str | None = Field(None, max_length=20)


class RevokeIn(Strict):
    """Why a manifest is to be revoked; or the decision on a proposal."""

    reason: Prose = Field("", max_length=2000)
    decision: Literal["execute", "reject"] = "execute"


class TokenStateOut(BaseModel):
    """A token's state, never its text."""

    sam_uid: str
    state: str
    tries_left: int
    expires_at: datetime


class ActivationRequestBrief(BaseModel):
    """A request in a list."""

    id: UUID
    state: str
    kind: str
    organisation: dict[str, Any]
    function: str
    machines: int
    redeemed: int
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


class ReplacementOut(BaseModel):
    """A card of a replacement: the machine that it leaves, the one that takes it, and why."""

    sam_uid: str
    former_hardware_number: str
    hardware_number: str
    reason: str


class ActivationRequestOut(ActivationRequestBrief):
    """A request with all it holds: its cards, its tokens' states, its history.

    `tokens_to_come` counts the cards of an approved request whose tokens are still being made.
    """

    notes: str
    personalisation_request: UUID | None
    files: dict[str, str | None]
    cards: list[str]
    replacements: list[ReplacementOut]
    tokens: list[TokenStateOut]
    tokens_to_come: int
    history: list[StepOut]
    warnings: list[Sentence]


class TokenOut(BaseModel):
    """A token in clear."""

    sam_uid: str
    token: str
    expires_at: datetime


class TokensOut(BaseModel):
    """Tokens in clear, for their organisation."""

    tokens: list[TokenOut]


class ManifestOut(BaseModel):
    """A manifest's metadata, never its body."""

    id: UUID
    state: str
    sam_uid: str
    epoch: int
    seq: int
    kid: str
    issued_at: datetime
    expires_at: datetime
    refuse_after: datetime
    status: dict[str, Any]
    activation: UUID
    revocation: dict[str, Any] | None
    reissue: dict[str, Any] | None
    links: dict[str, str]


class ActivationOut(BaseModel):
    """An activation: card, machine, place, and what the place check said."""

    id: UUID
    state: str
    sam_uid: str
    unit_id: UUID
    at: datetime
    latitude: float
    longitude: float
    accuracy_m: int
    source: str
    stated_by: UUID | None
    address: str
    region_code: str
    place: dict[str, Any]
    reason: str
    review: dict[str, Any]
    manifest: dict[str, Any]
    links: dict[str, str]
