"""The choices of forms about activation: cards for a request, cards with an open token, machines for a card."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, select

from sifilma.activation.models import ActivationRequestCard, Manifest, ManifestState, RequestKind, Token, TokenState
from sifilma.activation.queries import IS_OPEN, tokens_query
from sifilma.activation.requests.service import is_busy
from sifilma.activation.suspensions.queries import is_ready
from sifilma.activation.tokens.service import MAX_TRIES
from sifilma.cards.derived.models import FreeUnit
from sifilma.cards.derived.queries import IS_WORKING
from sifilma.cards.models import Card, Unit, UnitCondition
from sifilma.cards.queries import cards_query, units_query
from sifilma.cards.schemas import CardOut
from sifilma.cards.serializers import cards_out
from sifilma.handover.models import HandoverCard
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import within_limit
from sifilma.kernel.context import Context

MOST_CARDS = 2000
RENEWED_WITHIN = timedelta(days=90)
"""How long before its end a manifest is due to be renewed."""
MOST_MACHINES, MOST_OFFERED, MOST_NAMED = 200, 200, 50
"""Machines and cards that a form offers, and cards with an open token that a field names to whoever types."""


@dataclass(frozen=True)
class Lot:
    """The cards of one function. A request names cards of one function only."""

    function: str
    cards: list[CardOut] = field(default_factory=list)


@dataclass(frozen=True)
class OpenCard:
    """A card with an open token, which can be activated now."""

    uid: str
    function: str
    unit: str | None
    expires_at: datetime
    tries_left: int
    request_id: UUID


@dataclass(frozen=True)
class Machines:
    """The machines a card may go into: the one it is tied to (`tied`), or the free ones. `more` is True if not all free ones are listed."""

    units: list[Unit]
    tied: bool = False
    more: bool = False


def cards_for(ctx: Context, kind: str, request_id: UUID | None = None) -> list[Lot]:
    """Return the oldest MOST_OFFERED cards that a request of this kind can name, by function, without those of another open request."""
    oldest = _ready_query(ctx, RequestKind(kind), request_id).order_by(Card.id).limit(MOST_OFFERED)
    lots: dict[str, Lot] = {}
    for card in sorted(cards_out(ctx, list(ctx.session.scalars(oldest))), key=lambda one: (one.function, one.uid)):
        lots.setdefault(card.function, Lot(card.function)).cards.append(card)
    return list(lots.values())


def _ready_query(ctx: Context, kind: RequestKind, request_id: UUID | None) -> Select[Card]:
    query = select(Card).where(
        Card.holder_id == ctx.actor.organisation_id, within_limit(ctx.actor, Card.unit_id), is_ready(kind), ~is_busy(request_id)
    )
    return query.where(Card.unit_id.is_not(None)) if kind is RequestKind.REPLACEMENT else query


def what_broke(ctx: Context, uids: Collection[str]) -> dict[str, str]:
    """Return what was said of the broken machines of the actor's organisation that these cards are in, by UID."""
    query = units_query(ctx).with_only_columns(Card.uid, Unit.change_note).join(Card, Card.unit_id == Unit.id).where(Card.uid.in_(uids))
    broken = query.where(Unit.organisation_id == ctx.actor.organisation_id, Unit.condition == UnitCondition.BROKEN)
    return {row.uid: row.change_note for row in ctx.session.execute(broken)}


def ends_soon(ctx: Context) -> ColumnElement[bool]:
    """Return a condition in SQL: active manifests that are due to be renewed."""
    return and_(Manifest.state == ManifestState.ACTIVE, Manifest.expires_at <= ctx.now + RENEWED_WITHIN)


def chosen(ctx: Context, kind: str, *, handover: UUID | None, all_due: bool) -> list[str]:
    """Return the UIDs that a new form has chosen: the cards that a BAST brought, or all whose manifest is due to be renewed.

    A request is for one function, so of two functions the one with more of these cards is chosen. They are at most MOST_CARDS.
    """
    query = _ready_query(ctx, RequestKind(kind), None)
    if handover is not None:
        query = query.where(Card.id.in_(select(HandoverCard.card_id).where(HandoverCard.handover_id == handover)))
    elif all_due:
        due = select(Manifest.card_id).where(Manifest.organisation_id == ctx.actor.organisation_id, ends_soon(ctx))
        query = query.where(Card.id.in_(select(due.order_by(Manifest.expires_at, Manifest.id).limit(MOST_CARDS).subquery().c.card_id)))
    else:
        return []
    found: dict[str, list[str]] = {}
    for uid, function in ctx.session.execute(query.with_only_columns(Card.uid, Card.function).order_by(Card.uid).limit(MOST_CARDS)):
        found.setdefault(function, []).append(uid)
    return max((found[function] for function in sorted(found)), key=len, default=[])


def open_cards(ctx: Context, most: int = MOST_CARDS, request_id: UUID | None = None) -> list[OpenCard]:
    """Return the organisation's cards with an open token, of one request if it is given, at most `most`.

    Those whose token expires first stand at the top.
    """
    return _open(ctx, _waiting(ctx, request_id).order_by(Token.expires_at, Token.id).limit(most))


def count_open(ctx: Context, request_id: UUID | None = None) -> int:
    """Return how many cards with an open token there are, at most MOST_CARDS."""
    return ctx.session.scalar(select(func.count()).select_from(_waiting(ctx, request_id).limit(MOST_CARDS).subquery())) or 0


def next_card(ctx: Context, besides: UUID, request_id: UUID) -> tuple[OpenCard | None, int]:
    """Return the card with an open token that comes next, one of this request before others, and how many there are, without `besides`."""
    others = _waiting(ctx).where(Token.card_id != besides)
    number = ctx.session.scalar(select(func.count()).select_from(others.limit(MOST_CARDS).subquery())) or 0
    first = others.order_by(Token.expires_at, Token.id).limit(1)
    for query in (first.where(Token.activation_request_id == request_id), first) if number else ():
        if found := _open(ctx, query):
            return found[0], number
    return None, 0


def _waiting(ctx: Context, request_id: UUID | None = None) -> Select[Any]:
    """Return a query of the open tokens of the actor's organisation, of one request if it is given: their ids."""
    query = tokens_query(ctx, Operation.ACTIVATE).where(IS_OPEN, Token.expires_at > ctx.now).with_only_columns(Token.id)
    return query if request_id is None else query.where(Token.activation_request_id == request_id)


def _open(ctx: Context, tokens: Select[Any]) -> list[OpenCard]:
    """Return the cards of some tokens. The tokens are chosen before their cards and machines are looked up."""
    part = ActivationRequestCard
    query = (
        select(Card.uid, Card.function, Unit.hardware_number, Token.expires_at, Token.tries, Token.activation_request_id)
        .select_from(Token)
        .join(Card, Card.id == Token.card_id)
        .join(part, and_(part.activation_request_id == Token.activation_request_id, part.card_id == Card.id))
        .outerjoin(Unit, Unit.id == func.coalesce(part.unit_id, Card.unit_id))
        .where(Token.id.in_(select(tokens.subquery().c.id)))
        .order_by(Token.expires_at, Card.uid)
    )
    return [
        OpenCard(uid, function, unit, expires_at, MAX_TRIES - tries, request_id)
        for uid, function, unit, expires_at, tries, request_id in ctx.session.execute(query)
    ]


def machines(ctx: Context, uid: str) -> Machines:
    """Return the machines for a card of the actor's organisation; for an unknown UID all free ones."""
    card = ctx.session.scalars(cards_query(ctx).where(Card.uid == uid, Card.holder_id == ctx.actor.organisation_id)).first()
    if card is not None and (goes_to := _replacement(ctx, card) or card.unit_id) is not None:
        return Machines(list(ctx.session.scalars(select(Unit).where(Unit.id == goes_to))), tied=True)
    units = list(ctx.session.scalars(_free(ctx, card.function if card is not None else None).limit(MOST_MACHINES + 1)))
    return Machines(units[:MOST_MACHINES], more=len(units) > MOST_MACHINES)


def _replacement(ctx: Context, card: Card) -> UUID | None:
    """Return the unit that a card moves to by a replacement, if it has an open token for that."""
    part = ActivationRequestCard
    query = select(part.unit_id).join(Token, (Token.activation_request_id == part.activation_request_id) & (Token.card_id == part.card_id))
    return ctx.session.scalar(query.where(part.card_id == card.id, part.unit_id.is_not(None), Token.state == TokenState.ISSUED).limit(1))


def proposed_machine(ctx: Context, uid: str) -> str:
    """Return the machine that a card is tied to, or else the first that it may be activated in now. An empty text if there is none."""
    return next((unit.hardware_number for unit in machines(ctx, uid).units if unit.pcid), "")


def free_machines(ctx: Context, function: str) -> list[str]:
    """Return the hardware numbers of the organisation's machines of a function that hold no card."""
    query = _free(ctx, function).with_only_columns(Unit.hardware_number)
    return list(ctx.session.scalars(query.limit(MOST_CARDS)))


def next_machines(ctx: Context, functions: Collection[str]) -> dict[str, list[str]]:
    """Return, for each function, the hardware numbers of the free machines that can be activated in now: those with a PCID."""
    query = {one: _free(ctx, one).where(Unit.pcid.is_not(None)).with_only_columns(Unit.hardware_number) for one in functions}
    return {one: list(ctx.session.scalars(each.limit(MOST_MACHINES))) for one, each in query.items()}


def _free(ctx: Context, function: str | None) -> Select[Unit]:
    """Return a query of the organisation's working machines without a card, of a function or of all, in the order of their numbers."""
    query = select(Unit).join(FreeUnit, FreeUnit.unit_id == Unit.id)
    query = query.where(FreeUnit.organisation_id == ctx.actor.organisation_id, IS_WORKING)
    query = query.where(within_limit(ctx.actor, Unit.id)).order_by(FreeUnit.function, FreeUnit.hardware_number)
    return query.where(FreeUnit.function == function) if function else query
