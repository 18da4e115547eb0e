"""The routes of reference data: organisations, models, region codes."""

from __future__ import annotations

from typing import Any, Literal

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from sifilma.accounts import service as accounts
from sifilma.accounts.serializers import OrganisationOut, organisation_out
from sifilma.api.common import ListQuery, Page, answer, blueprint, page_of
from sifilma.cards import service as cards
from sifilma.cards.schemas import ModelOut
from sifilma.cards.serializers import models_out
from sifilma.kernel.paging import OLDEST_FIRST
from sifilma.regions import service as regions
from sifilma.regions.sources import place_check
from sifilma.resources import resources
from sifilma.web.links import API
from sifilma.web.operations import operation

api = blueprint("reference")


class OrganisationQuery(ListQuery):
    """A page of organisations, by kind and a part of the name (`q`)."""

    kind: Literal["directorate", "province_office", "regency_office", "institution", "manufacturer"] | None = None
    q: str | None = Field(None, max_length=100)


class RegionQuery(ListQuery):
    """A page of region codes below `parent`; of provinces without it."""

    parent: str | None = Field(None, max_length=13)


class PositionQuery(BaseModel):
    """A position in degrees (WGS 84)."""

    model_config = ConfigDict(extra="forbid")

    latitude: float
    longitude: float


class RegionOut(BaseModel):
    """A region code and its name."""

    code: str
    name: str
    level: int
    version: str
    links: dict[str, str]


class LocatedOut(BaseModel):
    """What lies at a position."""

    regency: str
    village: str | None
    distance_m: int


@api.get("/organisations", responses={200: Page[OrganisationOut]}, summary="Organisations, by kind and part of the name")
@operation("reference.read")
def organisations(query: OrganisationQuery) -> Response:
    """Newest first."""
    select, key = accounts.list_organisations(query.kind, query.q)
    return page_of(select, key, query, lambda rows: map(organisation_out, rows))


@api.get("/models", responses={200: Page[ModelOut]}, summary="Models of readers and encoders")
@operation("reference.read")
def models(query: ListQuery) -> Response:
    """Newest first."""
    select, key = cards.list_models()
    return page_of(select, key, query, models_out)


@api.get("/regions", responses={200: Page[RegionOut]}, summary="Region codes below a code")
@operation("reference.read")
def children(query: RegionQuery) -> Response:
    """The valid codes, by code."""
    select, key = regions.children(query.parent)
    return page_of(select, key, query, lambda rows: map(_region_out, rows), order=OLDEST_FIRST)


def _region_out(row: Any) -> RegionOut:
    links = {"children": f"{API}/regions?parent={row.code}"}
    return RegionOut(code=row.code, name=row.name, level=row.level, version=row.version, links=links)


@api.get("/regions/locate", responses={200: LocatedOut}, summary="The regency and the nearest village of a position")
@operation("reference.read")
def locate(query: PositionQuery) -> Response:
    """Refused (422) outside Indonesia."""
    found = place_check(resources().settings.home).locate(query.latitude, query.longitude)
    return answer(LocatedOut(regency=found.regency, village=found.village, distance_m=found.distance_m))
