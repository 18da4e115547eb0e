"""Places under review as the operator sees them: what was stated beside what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from sifilma.activation.manifests.pages import place_name
from sifilma.activation.models import Activation, Manifest
from sifilma.cards.models import Card, Unit
from sifilma.identity.models import Organisation, Person
from sifilma.kernel.context import Context
from sifilma.regions import villages
from sifilma.regions.geometry import on_foreign_land
from sifilma.regions.place import ACCURACY_M, PASS_M, REVIEW_M, PlaceCheck
from sifilma.regions.service import names_of


@dataclass(frozen=True)
class Doubt:
    """One place that did not pass the check. `claimed` and `nearest` are names; `of` is the activation."""

    of: Activation
    uid: str
    hardware_number: str
    organisation: str
    manifest_state: str
    seq: int
    claimed: str
    claimed_regency: str
    nearest: str

    @property
    def latitude(self) -> float:
        """Return the latitude in degrees (WGS 84)."""
        return self.of.latitude_e7 / 1e7

    @property
    def longitude(self) -> float:
        """Return the longitude in degrees (WGS 84)."""
        return self.of.longitude_e7 / 1e7


@dataclass(frozen=True)
class Found:
    """What lies at the position now. `names` go from the village up, if the source has villages. Distances are in metres.

    `abroad` says that the outlines of countries count the position to a neighbour.
    """

    names: str
    distance_m: int
    claimed_point: tuple[float, float] | None
    tolerance_m: int
    far_m: int
    abroad: bool
    reviewed_by: str
    reviewed_at: datetime | None


def doubts(ctx: Context, activations: Iterable[Activation]) -> list[Doubt]:
    """Return places under review with the names of what belongs to them, in two queries for all."""
    found = {activation.id: activation for activation in activations}
    query = (
        select(Activation.id, Card.uid, Unit.hardware_number, Organisation.name, Manifest.state, Manifest.seq)
        .join(Card, Card.id == Activation.card_id)
        .join(Unit, Unit.id == Activation.unit_id)
        .join(Organisation, Organisation.id == Activation.organisation_id)
        .join(Manifest, Manifest.id == Activation.manifest_id)
        .where(Activation.id.in_(found))
    )
    rows: dict[UUID, list[Any]] = {key: rest for key, *rest in ctx.session.execute(query)}
    names = names_of(ctx.session, {code for one in found.values() for code in (one.region_code, one.place_nearest)})
    return [_doubt(one, rows[key], names) for key, one in found.items()]


def _doubt(one: Activation, row: list[Any], names: dict[str, str]) -> Doubt:
    uid, number, organisation, state, seq = row
    claimed, nearest = place_name(names, one.region_code), place_name(names, one.place_nearest)
    regency = names.get(one.region_code[:5], one.region_code)
    return Doubt(one, uid, number, organisation, state, seq, claimed, regency, nearest or one.place_nearest)


def found_at(ctx: Context, places: PlaceCheck, doubt: Doubt) -> Found:
    """Return what lies at the position by the boundaries in use now, and the radii of the rings on the map."""
    located = places.source.locate(doubt.latitude, doubt.longitude)
    code = located.village or located.regency
    names = names_of(ctx.session, [code])
    reviewer = ctx.session.scalar(select(Person.name).where(Person.id == doubt.of.reviewed_by)) if doubt.of.reviewed_by else ""
    return Found(
        place_name(names, code) or code,
        located.distance_m,
        villages.points().position(doubt.of.region_code),
        max(PASS_M, min(doubt.of.accuracy_m, ACCURACY_M)),
        REVIEW_M,
        on_foreign_land(doubt.latitude, doubt.longitude),
        reviewer or "",
        doubt.of.reviewed_at,
    )
