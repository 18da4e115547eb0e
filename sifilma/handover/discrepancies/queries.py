"""What is read of discrepancies: that of a BAST, its cards, and cards that are still missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, select

from sifilma.cards.models import Card
from sifilma.handover.discrepancies.models import DifferenceState, Discrepancy, DiscrepancyCard, DiscrepancySignatory
from sifilma.handover.models import Handover, Side
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound


@dataclass(frozen=True)
class Differing:
    """Everything that the paper about a discrepancy states. `rows` and `cards` have one order."""

    discrepancy: Discrepancy
    handover: Handover
    rows: Sequence[DiscrepancyCard]
    cards: Sequence[Card]
    signatories: dict[Side, DiscrepancySignatory]
    missing: frozenset[UUID]
    """The ids of the rows that were born missing; the others came damaged."""


def find_discrepancy(ctx: Context, handover: Handover) -> Discrepancy | None:
    """Return what the receipt of a BAST differed in, or None."""
    return ctx.session.get(Discrepancy, handover.id)


def get_discrepancy(ctx: Context, handover: Handover) -> Discrepancy:
    """Return what the receipt of a BAST differed in. Raise NotFound if it differed in nothing."""
    found = find_discrepancy(ctx, handover)
    if found is None:
        raise NotFound()
    return found


def differing_of(ctx: Context, discrepancy: Discrepancy) -> Differing:
    """Return what a stored discrepancy states."""
    handover = ctx.session.get_one(Handover, discrepancy.handover_id)
    missing = frozenset(row.id for row in discrepancy.cards if row.state != DifferenceState.DAMAGED)
    signatories = {Side(one.side): one for one in discrepancy.signatories}
    return Differing(discrepancy, handover, discrepancy.cards, cards_of(ctx, discrepancy), signatories, missing)


def cards_of(ctx: Context, discrepancy: Discrepancy) -> list[Card]:
    """Return the cards of a discrepancy, in the order of its rows."""
    ids = [row.card_id for row in discrepancy.cards]
    found = {card.id: card for card in ctx.session.scalars(select(Card).where(Card.id.in_(ids)))}
    return [found[key] for key in ids]


def missing_query() -> Select[UUID]:
    """Return a query of the ids of BASTs of which cards are missing."""
    return select(DiscrepancyCard.handover_id).where(DiscrepancyCard.state == DifferenceState.MISSING)
