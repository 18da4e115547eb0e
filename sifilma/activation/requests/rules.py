"""What a replacement requires: a card moves from the machine it is tied to, which broke, to another one of the same function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import select

from sifilma.activation.models import ActivationRequest, ActivationRequestCard, RequestKind, RequestState
from sifilma.activation.schemas import ReplacementIn
from sifilma.cards.models import Card, Unit, UnitCondition
from sifilma.cards.service import cards_in
from sifilma.identity.scope import within_limit
from sifilma.kernel.context import Context
from sifilma.kernel.db import one_of
from sifilma.kernel.errors import Faults, Invalid
from sifilma.kernel.repeats import numbered, repeats, same_as
from sifilma.kernel.text import Text, say

OPEN = (RequestState.DRAFT, RequestState.SUBMITTED, RequestState.RETURNED, RequestState.APPROVED)
Moves: TypeAlias = dict[UUID, dict[str, Any]]
"""By the card's id: the columns of the request's row that say which unit it leaves, which takes it, and why."""


def check(ctx: Context, request: ActivationRequest, kind: str, stated: Sequence[ReplacementIn], cards: Sequence[Card]) -> Moves:
    """Return how the cards of a request move; of another kind than `replacement` none does.

    Raise Invalid that names each row (`replacements.N`, from 0) whose card is in no machine, or whose new machine cannot take it.
    """
    if kind != RequestKind.REPLACEMENT:
        if stated:
            raise Invalid.field("replacements", "Only a request of the kind replacement moves cards to other machines.")
        return {}
    by_uid = {card.uid: card for card in cards}
    if sorted(one.sam_uid for one in stated) != sorted(by_uid):
        raise Invalid.field("replacements", "Say for each card which machine takes it, and what happened to the one it is in.")
    numbers = [one.hardware_number for one in stated]
    mine = (Unit.organisation_id == ctx.actor.organisation_id, within_limit(ctx.actor, Unit.id))
    found = select(Unit).where(*mine, one_of(ctx.session, Unit.hardware_number, numbers))
    units = {unit.hardware_number: unit for unit in ctx.session.scalars(found)}
    taken, named, again = cards_in(ctx, list(units.values())), _named_elsewhere(ctx, request, units), repeats(numbered(numbers))
    faults = Faults()
    for number, one in enumerate(stated, start=1):
        card, unit = by_uid[one.sam_uid], units.get(one.hardware_number)
        if card.unit_id is None:
            faults.add(f"replacements.{number - 1}.sam_uid", say("%(uid)s is in no machine yet: ask for its activation.", uid=card.uid))
        if number in again:
            told: Text | str | None = same_as(again[number])
        else:
            told = _objection(card, unit, unit is not None and unit.id in taken, unit is not None and unit.id in named)
        if told is not None:
            faults.add(f"replacements.{number - 1}.hardware_number", told)
    faults.refuse("Some cards cannot be moved to these machines.")
    return {
        by_uid[one.sam_uid].id: {
            "unit_id": units[one.hardware_number].id, "former_unit_id": by_uid[one.sam_uid].unit_id, "reason": one.reason
        }
        for one in stated
    }  # fmt: skip


def _objection(card: Card, unit: Unit | None, is_taken: bool, is_named: bool) -> Text | str | None:
    """Return why a unit cannot take a card, or None if it can."""
    if unit is None:
        return say("Your organisation has registered no such machine.")
    if unit.id == card.unit_id:
        return say("This is the machine that the card is in.")
    if unit.function != card.function:
        return say("This machine is for %(machine)s, the card for %(card)s.", machine=unit.function, card=card.function)
    if unit.condition != UnitCondition.WORKING:
        return say("This machine is %(state)s: no card is activated in it.", state=unit.condition)
    if is_taken:
        return say("Another card is tied to this machine.")
    return say("This machine is named in another open request.") if is_named else None


def _named_elsewhere(ctx: Context, request: ActivationRequest, units: dict[str, Unit]) -> set[UUID | None]:
    """Return those of the units that another open request names as the ones that take a card, and which are not taken yet."""
    part = ActivationRequestCard
    query = select(part.unit_id).join(ActivationRequest, ActivationRequest.id == part.activation_request_id)
    query = query.where(part.unit_id.in_([unit.id for unit in units.values()]), ActivationRequest.state.in_(OPEN))
    return set(ctx.session.scalars(query.where(ActivationRequest.id != request.id)))
