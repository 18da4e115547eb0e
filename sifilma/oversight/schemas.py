"""Schemas of agreements, models, their cases, and changes of reference data."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field

from sifilma.accounts.schemas import OrganisationIn
from sifilma.cards.models import Function
from sifilma.kernel.days import Day
from sifilma.kernel.schemas import Prose, Strict
from sifilma.oversight.models import CaseKind


def _point(typed: Any) -> Any:
    """Convert a percentage as it is written in Indonesia (`35,5%`) to one with a decimal point."""
    return typed.replace(",", ".").removesuffix("%").strip() if isinstance(typed, str) else typed


Percent = Annotated[Decimal, BeforeValidator(_point), Field(ge=0, le=100, decimal_places=2)]


class AgreementIn(Strict):
    """An agreement (PKS) of an institution, named as it is registered."""

    institution: str = Field(min_length=1, max_length=200)
    number: str = Field(min_length=3, max_length=100)
    valid_from: Day
    valid_until: Day


class ModelIn(Strict):
    """A model of a manufacturer, named as it is registered."""

    name: str = Field(min_length=2, max_length=80)
    manufacturer: str = Field(min_length=1, max_length=200)
    function: Function


class CaseIn(Strict):
    """An application for a procedure, with its letter."""

    kind: CaseKind
    letter_number: str = Field(min_length=3, max_length=100)
    letter_date: Day
    notes: Prose = Field("", max_length=2000)


class CertificateIn(Strict):
    """A certificate as it was issued. The percentage is that of a TKDN certificate."""

    number: str = Field(min_length=3, max_length=100)
    issuer: str = Field(min_length=3, max_length=200)
    issued_on: Day
    valid_until: Day
    tkdn: Percent | None = None


class CertificateOut(BaseModel):
    """A certificate of a model."""

    id: UUID
    kind: str
    number: str
    issuer: str
    issued_on: date
    valid_until: date
    tkdn: float | None


class CaseFor(CaseIn):
    """An application, and the model it is for."""

    model: UUID


class CaseOut(BaseModel):
    """An application for a model, and the certificate it led to. `digest`: what an approver sends back."""

    id: UUID
    state: str
    kind: str
    model: dict[str, Any]
    organisation: dict[str, Any]
    letter_number: str
    letter_date: date
    notes: str
    created_at: datetime
    digest: str | None
    certificate: CertificateOut | None
    note: str
    links: dict[str, str]


class OrganisationsIn(Strict):
    """Organisations to be added."""

    rows: list[OrganisationIn] = Field(min_length=1, max_length=1000)


class AgreementsIn(Strict):
    """Agreements (PKS) to be added."""

    rows: list[AgreementIn] = Field(min_length=1, max_length=1000)


class ModelsIn(Strict):
    """Models to be added."""

    rows: list[ModelIn] = Field(min_length=1, max_length=1000)


class ReferenceChangeBrief(BaseModel):
    """A change of reference data in a list."""

    id: UUID
    state: str
    kind: str
    count: int
    digest: str
    proposed_at: datetime
    decided_at: datetime | None
    note: str
    links: dict[str, str]


class ReferenceChangeOut(ReferenceChangeBrief):
    """A change with its rows, and the SHA-256 (hex) of the PDF that came with them."""

    rows: list[dict[str, Any]]
    document_sha256: str | None
