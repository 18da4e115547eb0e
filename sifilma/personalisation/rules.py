"""What a request requires that replaces cards out of use: whose they are, how they are, and that no other request replaces them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, literal_column, select

from sifilma.cards.models import Card, CardState
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Faults
from sifilma.kernel.repeats import numbered, repeats, same_as
from sifilma.kernel.text import say
from sifilma.personalisation.models import PersonalisationRequest, PersonalisationState, ReplacedCard

REPLACEABLE = (CardState.DAMAGED, CardState.LOCKED, CardState.LOST, CardState.DESTROYED)
"""The states of cards that are out of use and can be replaced. A revoked card is not: its use has ended."""
_ENDED = (PersonalisationState.REJECTED, PersonalisationState.CANCELLED)


def replaceable(buyer_id: UUID, besides: UUID | None = None) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of a buyer's cards that can be replaced: out of use, and in no other request (than `besides`)."""
    # Values that stand in the statement, so that a prepared plan knows the index of cards out of use.
    states = Card.state.in_([literal_column(f"'{state.value}'") for state in REPLACEABLE])
    return Card.buyer_id == buyer_id, states, Card.id.not_in(_replaced_query(besides))


def _replaced_query(besides: UUID | None) -> Select[UUID]:
    query = select(ReplacedCard.card_id).join(PersonalisationRequest, PersonalisationRequest.id == ReplacedCard.personalisation_request_id)
    query = query.where(PersonalisationRequest.state.not_in(_ENDED))
    return query.where(PersonalisationRequest.id != besides) if besides else query


def replaced_cards(ctx: Context, given: Mapping[str, Any], buyer_id: UUID, besides: UUID, found: Faults) -> list[Card]:
    """Return the cards that a request replaces, in their order. What is wrong with one is added to `found` by its number, from 1.

    They are locked, so that of two requests that name one card the second sees the first.
    """
    uids: Sequence[str] = given.get("replaces") or []
    named = select(Card).where(Card.uid.in_(uids), *replaceable(buyer_id, besides))
    cards = {card.uid: card for card in ctx.session.scalars(named.order_by(Card.id).with_for_update(key_share=True, of=Card))}
    again = repeats(numbered(uids))
    for number, uid in enumerate(uids, start=1):
        if number in again:
            found.add("replaces", same_as(again[number]), item=number)
        elif uid not in cards:
            told = say("%(uid)s is no broken or lost card of the buyer, or another request replaces it already.", uid=uid)
            found.add("replaces", told, item=number)
        elif given.get("function", cards[uid].function) != cards[uid].function:
            found.add("replaces", say("%(uid)s is a card for %(function)s.", uid=uid, function=cards[uid].function), item=number)
    return [cards[uid] for uid in uids if uid in cards]
