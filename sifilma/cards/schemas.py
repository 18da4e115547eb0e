"""The schemas of cards and units, for JSON and forms."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.cards.identifiers import HardwareNumber, Pcid, Uid
from sifilma.cards.public_keys import PublicJwk
from sifilma.kernel.schemas import Prose, Strict
from sifilma.kernel.text import Sentence


class UnitIn(Strict):
    """One reader or encoder to be registered. Without `function` it has its model's, if that has one only.

    `outlet` names the outlet at which it stands: by its branch code, its name or its id.
    """

    hardware_number: HardwareNumber
    model: str = Field(min_length=1, max_length=80)
    function: Literal["R", "RW"] | None = None
    pcid: Pcid | None = None
    sam_perso: str = Field("", max_length=16)
    public_jwk: PublicJwk | None = None
    outlet: str = Field("", max_length=200)


class SupplyIn(Strict):
    """What a registered unit lacked."""

    pcid: Pcid
    sam_perso: str = Field("", max_length=16)
    public_jwk: PublicJwk | None = None


class CorrectIn(Strict):
    """What is to be corrected of a unit; or the decision on the correction `proposal`, of which `reason` is then the note."""

    hardware_number: HardwareNumber | None = None
    model: str | None = Field(None, min_length=1, max_length=80)
    function: Literal["R", "RW"] | None = None
    pcid: Pcid | None = None
    sam_perso: str | None = Field(None, max_length=16)
    reason: Prose = Field("", max_length=2000)
    proposal: UUID | None = None
    decision: Literal["execute", "reject", "withdraw"] = "execute"


class ReasonIn(Strict):
    """Why a unit's condition changes."""

    reason: Prose = Field(min_length=3, max_length=2000)


class UnitKeyIn(Strict):
    """A public key that is proposed for a unit."""

    unit: UUID
    public_jwk: PublicJwk


class CardRowIn(Strict):
    """One row of a file that names cards."""

    sam_uid: Uid


class UnitKeysIn(Strict):
    """Public keys of units of one organisation: one proposal."""

    keys: list[UnitKeyIn] = Field(min_length=1, max_length=1000)


class UnitKeyRowIn(Strict):
    """One row of a file of public keys. The PCID tells apart units of several organisations that have the same number."""

    hardware_number: HardwareNumber
    public_jwk: PublicJwk
    pcid: Pcid | None = None


class DigestIn(Strict):
    """The digest of what was seen."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


class KeyTextIn(Strict):
    """A public key that is proposed for the unit of the page."""

    public_jwk: PublicJwk


class ReportIn(Strict):
    """What happened to a card."""

    condition: Literal["damaged", "locked", "lost", "found"]
    note: Prose = Field(min_length=3, max_length=2000)


class CorrectionOut(BaseModel):
    """A correction of a unit that waits for another person: what becomes of each number (null: it stays), and why."""

    id: UUID
    hardware_number: str | None
    pcid: str | None
    reason: str
    proposed_at: datetime


class OutletBrief(BaseModel):
    """The outlet at which a unit stands."""

    id: UUID
    name: str
    branch_code: str | None


class UnitOut(BaseModel):
    """A unit, and the card in it. `state` is the card's, `condition` the unit's own.

    `outlet` is null where the unit stands at none, and for whoever may not see outlets.
    """

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
    public_key_change: UUID | None
    condition: str
    condition_reason: str
    correction: CorrectionOut | None
    outlet: OutletBrief | None
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
    pending_report: UUID | None
    links: dict[str, str]


class CardReportOut(BaseModel):
    """A program's report on a card, which waits until a person confirms or withdraws it."""

    id: UUID
    state: str
    card: str
    condition: str
    note: str
    organisation_id: UUID
    reported_at: datetime
    links: dict[str, str]


class UnitKeyOut(BaseModel):
    """One key of a proposal. `thumbprint` is that of RFC 7638; `former` is that of the key it takes the place of."""

    unit: UUID
    hardware_number: str
    model: str
    public_jwk: dict[str, str]
    thumbprint: str
    former: str | None


class UnitKeyChangeBrief(BaseModel):
    """A proposal of public keys for units, as lists show it. `by` is the organisation whose person or program made it."""

    id: UUID
    state: str
    organisation_id: UUID
    by: UUID
    count: int
    digest: str
    made_at: datetime
    links: dict[str, str]


class UnitKeyChangeOut(UnitKeyChangeBrief):
    """A proposal with its keys."""

    keys: list[UnitKeyOut]


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
    """A model of reader or encoder. `functions` are those that its units can serve, `function` is the first of them."""

    id: UUID
    name: str
    function: str
    functions: list[str]
    manufacturer_id: UUID
