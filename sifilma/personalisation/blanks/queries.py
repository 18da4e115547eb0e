"""What can be read of the ledger of blank SAMs."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import func, select

from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.paging import Listing
from sifilma.personalisation.blanks.models import BlankCard, BlankDelivery, BlankState, DeliveryState
from sifilma.personalisation.blanks.schemas import BlankStockOut


def list_deliveries(state: str | None, *, part: str = "") -> Listing[BlankDelivery]:
    """Return the deliveries, by state and by a part of the note's number or the supplier's name."""
    query = select(BlankDelivery)
    if part:
        query = query.where(BlankDelivery.number.icontains(part, autoescape=True) | BlankDelivery.supplier.icontains(part, autoescape=True))
    return (query.where(BlankDelivery.state == state) if state else query), BlankDelivery.id


def list_blanks(state: str | None, delivery_id: UUID | None = None) -> Listing[BlankCard]:
    """Return the blanks, by state, of one delivery if it is given."""
    query = select(BlankCard)
    if delivery_id is not None:
        query = query.where(BlankCard.delivery_id == delivery_id)
    return (query.where(BlankCard.state == state) if state else query), BlankCard.id


def get_delivery(ctx: Context, delivery_id: UUID) -> BlankDelivery:
    """Return one delivery. Raise NotFound if there is none."""
    found = ctx.session.get(BlankDelivery, delivery_id)
    if found is None:
        raise NotFound()
    return found


def counts_of(ctx: Context, delivery_ids: Collection[UUID]) -> dict[UUID, dict[str, int]]:
    """Return how many blanks of each delivery are in each state, in one statement."""
    query = select(BlankCard.delivery_id, BlankCard.state, func.count()).where(BlankCard.delivery_id.in_(delivery_ids))
    found: dict[UUID, dict[str, int]] = {key: {} for key in delivery_ids}
    for key, state, number in ctx.session.execute(query.group_by(BlankCard.delivery_id, BlankCard.state)):
        found[key][state] = number
    return found


def stock(ctx: Context, low: int) -> BlankStockOut:
    """Return the counts of the ledger. `low` is the setting: with fewer left the stock is low (0: never)."""
    rows = ctx.session.execute(select(BlankCard.state, func.count()).group_by(BlankCard.state))
    found: dict[str, int] = {row[0]: row[1] for row in rows}
    left = found.get(BlankState.STOCKED, 0)
    return BlankStockOut(
        delivered=sum(found.values()),
        left=left,
        issued=found.get(BlankState.ISSUED, 0),
        personalised=found.get(BlankState.PERSONALISED, 0),
        failed=found.get(BlankState.FAILED, 0),
        withdrawn=found.get(BlankState.WITHDRAWN, 0),
        low=left < low and is_kept(ctx),
    )


def is_kept(ctx: Context) -> bool:
    """Return whether a ledger is kept: a delivery is recorded. An installation of before the ledger has none."""
    return ctx.session.scalar(select(BlankDelivery.id).where(BlankDelivery.state == DeliveryState.RECORDED).limit(1)) is not None
