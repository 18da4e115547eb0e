"""Buyers: the organisations a manufacturer can ask cards for, and their units of its models."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from sifilma.cards.derived.models import FreeUnit
from sifilma.cards.derived.queries import free_units_query
from sifilma.cards.import_table import list_of_models, list_of_outlets, list_of_units
from sifilma.cards.models import Function, Unit
from sifilma.cards.outlets.queries import outlets_of_units
from sifilma.documents.tables.templates import Filled
from sifilma.identity.models import Organisation
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.personalisation.batch import BATCH
from sifilma.personalisation.models import PersonalisationRequest

KINDS = (OrganisationKind.INSTITUTION, OrganisationKind.REGENCY_OFFICE, OrganisationKind.PROVINCE_OFFICE)
MOST = 20


@dataclass(frozen=True)
class Buyer:
    """An organisation that cards can be asked for. `units` is the number of its units of the manufacturer's models without a card."""

    id: UUID
    name: str
    kind: str
    units: int


def buyers_matching(ctx: Context, text: str) -> list[Buyer]:
    """Return up to 20 buyers whose names contain the text. Those with the most units that wait for a card come first."""
    free = free_units_query(ctx, Function.R)
    waiting = free.add_columns(func.count().label("units")).group_by(FreeUnit.organisation_id).subquery()
    count = func.coalesce(waiting.c.units, 0)
    query = select(Organisation.id, Organisation.name, Organisation.kind, count).where(Organisation.kind.in_(KINDS))
    query = query.outerjoin(waiting, waiting.c.organisation_id == Organisation.id)
    query = query.where(Organisation.name.icontains(text, autoescape=True)) if text else query
    return [Buyer(*row) for row in ctx.session.execute(query.order_by(count.desc(), Organisation.name).limit(MOST))]


def get_buyer(ctx: Context, organisation_id: UUID | str) -> Buyer:
    """Return the buyer whose id a URL or a form names. Raise NotFound if it is no UUID, unknown, or no possible buyer."""
    try:
        found = ctx.session.get(Organisation, UUID(str(organisation_id)))
    except ValueError as unknown:
        raise NotFound() from unknown
    if found is None or found.kind not in KINDS:
        raise NotFound()
    free = free_units_query(ctx, Function.R).where(FreeUnit.organisation_id == found.id)
    count = select(func.count()).select_from(free.subquery())
    return Buyer(found.id, found.name, found.kind, ctx.session.scalar(count) or 0)


def find_usual(ctx: Context) -> UUID | None:
    """Return the buyer of the manufacturer's newest request, or else the only buyer, if units of its wait for a card. Else None."""
    waiting = free_units_query(ctx, Function.R).group_by(FreeUnit.organisation_id)
    newest = select(PersonalisationRequest.buyer_id).where(PersonalisationRequest.requester_id == ctx.actor.organisation_id)
    last = ctx.session.scalar(newest.order_by(PersonalisationRequest.id.desc()).limit(1))
    found = set(ctx.session.scalars(waiting))
    return last if last in found else next(iter(found)) if len(found) == 1 else None


def batch_template(ctx: Context, organisation_id: UUID, max_rows: int) -> Filled:
    """Return a table for a batch with the buyer's units that wait for a card. The UIDs are empty."""
    free = free_units_query(ctx, Function.R).with_only_columns(FreeUnit.unit_id).where(FreeUnit.organisation_id == organisation_id)
    query = select(Unit).where(Unit.id.in_(free)).order_by(Unit.hardware_number).limit(max_rows)
    units = list(ctx.session.scalars(query))
    outlets = outlets_of_units(ctx, units)
    rows = [
        {"hardware_number": unit.hardware_number, "model": unit.model.name, "pcid": unit.pcid or "", "sam_perso": unit.sam_perso}
        | ({"outlet": outlets[unit.outlet_id].called} if unit.outlet_id else {})
        for unit in units
    ]
    models = {unit.model.id: unit.model for unit in units}.values()
    return Filled(BATCH, rows, guided=True, lookups=(list_of_units(units), list_of_models(ctx, models), *list_of_outlets(outlets.values())))
