"""The choices of the form for a proposal: broken cards that are in no open destruction, by holder and cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, exists, func, or_, select

from sifilma.cards.models import CARD, Card, CardState
from sifilma.cards.schemas import CardOut
from sifilma.cards.serializers import cards_out
from sifilma.destruction.models import DestructionCard
from sifilma.destruction.service import proposed_cards_query
from sifilma.handover.queries import cards_on_their_way_query, is_named
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import may_reach, scoped
from sifilma.kernel.context import Context

CAUSES = (CardState.DAMAGED, CardState.LOCKED, CardState.REVOKED)
MOST_CARDS = 1000
MOST_LOTS = 200


@dataclass(frozen=True)
class Lot:
    """Cards that one destruction can name: they have one holder and one cause."""

    holder_id: UUID
    holder: str
    cause: str
    count: int

    @property
    def key(self) -> str:
        """Return the name of the lot in a URL."""
        return f"{self.holder_id}.{self.cause}"


def lots(ctx: Context) -> list[Lot]:
    """Return the lots that the actor may propose, the largest first; at most MOST_LOTS."""
    query = (
        free_cards_query(ctx, None if ctx.actor.is_central else ctx.actor.organisation_id)
        .with_only_columns(Card.holder_id, Organisation.name, Card.state, func.count())
        .join(Organisation, Organisation.id == Card.holder_id)
        .group_by(Card.holder_id, Organisation.name, Card.state)
        .order_by(func.count().desc(), Organisation.name, Card.state)
        .limit(MOST_LOTS)
    )
    return [Lot(*row) for row in ctx.session.execute(query)]


def chosen(all_lots: Sequence[Lot], key: str) -> Lot | None:
    """Return the lot that the URL names, or the only lot if there is one, else None."""
    found = next((lot for lot in all_lots if lot.key == key), None)
    return found or (all_lots[0] if len(all_lots) == 1 else None)


def cards_in(ctx: Context, lot: Lot) -> list[CardOut]:
    """Return the cards of a lot by UID, at most as many as one destruction may name."""
    query = free_cards_query(ctx, lot.holder_id).where(Card.state == lot.cause)
    return cards_out(ctx, list(ctx.session.scalars(query.order_by(Card.uid).limit(MOST_CARDS))))


def may_be_proposed(ctx: Context, card: Card) -> bool:
    """Return whether the actor may propose to destroy the card: its state allows it, and no open destruction or handover names it."""
    if not (CARD.allows(card.state, CardState.DESTROYED) and may_reach(ctx.actor, Operation.DESTRUCTION_PROPOSE, card.holder_id)):
        return False
    return not ctx.session.scalar(
        select(
            or_(
                exists(proposed_cards_query().where(DestructionCard.card_id == card.id)),
                exists(cards_on_their_way_query(card.id)),
            )
        )
    )


def free_cards_query(ctx: Context, of: UUID | None = None, *, each: bool = False) -> Select[Card]:
    """Return a query of the cards that the actor may propose to destroy: broken, in no open destruction, and not on their way.

    With `of`, those of one holder: only what it has handed over itself is looked through for them. `each`: few of them are looked at.
    """
    ours = scoped(select(Card), ctx.actor, Operation.DESTRUCTION_PROPOSE, Card.holder_id)
    ours = ours if of is None else ours.where(Card.holder_id == of)
    named = (proposed_cards_query(), cards_on_their_way_query(issuer_id=of))
    return ours.where(Card.state.in_(CAUSES), *(~is_named(ids, each=each) for ids in named))
