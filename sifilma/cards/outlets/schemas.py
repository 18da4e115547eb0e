"""The schemas of outlets, for JSON and forms."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field, field_validator

from sifilma.identity.fields import Email, Phone
from sifilma.kernel.schemas import Prose, Strict
from sifilma.regions import coordinates


class OutletIn(Strict):
    """An outlet. Degrees are WGS 84. Without `region_code` it is that of the village nearest to the position."""

    name: str = Field(min_length=2, max_length=200)
    branch_code: str = Field("", max_length=40)
    address: str = Field(min_length=3, max_length=500)
    region_code: str = Field("", max_length=20)
    latitude: float = Field(allow_inf_nan=False)
    longitude: float = Field(allow_inf_nan=False)
    contact_name: str = Field("", max_length=200)
    contact_phone: Phone = ""
    contact_email: Email = ""


class TypedOutletIn(OutletIn):
    """An outlet as people write it, in a form: coordinates as `coordinates` reads them."""

    _degrees = field_validator("latitude", "longitude", mode="before")(coordinates.as_written)


class MoveIn(Strict):
    """The outlet at which a unit stands from now on (null: at none), and why."""

    outlet: UUID | None
    reason: Prose = Field("", max_length=2000)


class LimitIn(Strict):
    """The outlets to which an account is limited. With none it is not."""

    outlets: list[UUID] = Field(max_length=200)


class OutletOut(BaseModel):
    """An outlet, with the number of units there that are not retired. `state` is `open` or `closed`, `state_reason` why."""

    id: UUID
    organisation_id: UUID
    name: str
    branch_code: str | None
    address: str
    region_code: str
    latitude: float
    longitude: float
    contact_name: str
    contact_phone: str
    contact_email: str
    units: int
    state: str
    state_reason: str
    created_at: datetime
    links: dict[str, str]
