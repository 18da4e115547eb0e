"""Buyers: the organisations a manufacturer can ask cards for, and their units of its models."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, exists, func, select

from sifilma.cards.models import Card, Function, Unit
from sifilma.cards.service import ENDED, units_query
from sifilma.identity.models import Organisation
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound

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
    waiting = _waiting(ctx).subquery()
    count = select(func.count()).where(waiting.c.organisation_id == Organisation.id).scalar_subquery()
    query = select(Organisation.id, Organisation.name, Organisation.kind, count).where(Organisation.kind.in_(KINDS))
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
    count = select(func.count()).select_from(_waiting(ctx).where(Unit.organisation_id == found.id).subquery())
    return Buyer(found.id, found.name, found.kind, ctx.session.scalar(count) or 0)


def batch_rows(ctx: Context, organisation_id: UUID, max_rows: int) -> list[tuple[str, ...]]:
    """Return the buyer's units that wait for a card, as rows with the columns of a batch (`batch.COLUMNS`). The UID is empty."""
    query = _waiting(ctx).where(Unit.organisation_id == organisation_id).order_by(Unit.hardware_number).limit(max_rows)
    return [(unit.hardware_number, unit.model.name, unit.pcid or "", "", unit.sam_perso) for unit in ctx.session.scalars(query)]


def _waiting(ctx: Context) -> Select[Unit]:
    """Return a query of the R units of the actor's models that have no living card."""
    card = exists().where(Card.unit_id == Unit.id, Card.state.not_in(ENDED))
    return units_query(ctx).where(Unit.function == Function.R, ~card)
