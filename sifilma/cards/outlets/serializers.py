"""Convert outlets to the schemas of the API and of the pages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sifilma.cards.models import Unit
from sifilma.cards.outlets.models import OUTLET, Outlet
from sifilma.cards.outlets.queries import units_at
from sifilma.cards.outlets.schemas import OutletOut
from sifilma.cards.queries import units_query
from sifilma.cards.schemas import UnitOut
from sifilma.cards.serializers import TimelineStep, organisation_names, timeline, units_out
from sifilma.kernel.context import Context
from sifilma.regions import service as regions
from sifilma.regions.codes import WIDTHS
from sifilma.web.links import links

MOST_SHOWN = 100


@dataclass(frozen=True)
class OutletPage:
    """An outlet as its page shows it. `region` names village, district, regency and province; `units` are the newest there."""

    outlet: OutletOut
    owner: str
    region: str
    units: list[UnitOut]
    steps: list[TimelineStep]


@dataclass(frozen=True)
class OutletLine:
    """An outlet in a list: with its organisation, and the regency it is in."""

    outlet: OutletOut
    owner: str
    regency: str


def outlets_out(ctx: Context, found: Collection[Outlet]) -> list[OutletOut]:
    """Return outlets with the numbers of their units, in one query for all."""
    counts = units_at(ctx, found)
    return [_out(one, counts.get(one.id, 0)) for one in found]


def _out(one: Outlet, units: int) -> OutletOut:
    same = {name: getattr(one, name) for name in OutletOut.model_fields if name not in ("units", "state_reason", "links")}
    return OutletOut(units=units, state_reason=one.change_note, links=links("outlets", one.id), **same)


def lines(ctx: Context, found: list[Outlet]) -> list[OutletLine]:
    """Return outlets for the list, in one query each for organisations, regions and units."""
    owners = organisation_names(ctx, {one.organisation_id for one in found})
    names = regions.names_of(ctx.session, {one.region_code for one in found})
    return [OutletLine(one, owners[one.organisation_id], names.get(one.region_code[:5], "")) for one in outlets_out(ctx, found)]


def page(ctx: Context, one: Outlet) -> OutletPage:
    """Return an outlet with its units, as far as the actor may see them."""
    query = units_query(ctx).where(Unit.outlet_id == one.id).order_by(Unit.id.desc()).limit(MOST_SHOWN)
    names = regions.names_of(ctx.session, [one.region_code])
    chain = [one.region_code[:end] for end in reversed(WIDTHS)]
    return OutletPage(
        outlet=outlets_out(ctx, [one])[0],
        owner=organisation_names(ctx, {one.organisation_id})[one.organisation_id],
        region=", ".join(names[code] for code in chain if code in names),
        units=units_out(ctx, list(ctx.session.scalars(query))),
        steps=timeline(ctx, OUTLET.kind, one.id),
    )
