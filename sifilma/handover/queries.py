"""What is read of a handover: its cards with their machines, its letters, and who signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, select, union_all
from sqlalchemy.orm import aliased

from sifilma.cards.models import Card, Unit
from sifilma.documents.known_people import KnownPerson, distinct
from sifilma.handover.discrepancies.models import DifferenceState, DiscrepancyCard
from sifilma.handover.models import RECEIPTS, Handover, HandoverCard, HandoverSignatory, HandoverState, Side
from sifilma.identity.models import AccountState, Organisation, Person, User, UserRole, counts
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Context
from sifilma.kernel.db import among
from sifilma.personalisation.models import PersonalisationRequest

MOST_LOOKED_AT = 200
"""The newest BASTs in which signatories are looked for."""


@dataclass(frozen=True)
class Letter:
    """The letter by which cards were asked for: its number, its day, and who wrote it."""

    number: str
    day: date
    sender: str


@dataclass(frozen=True)
class Stated:
    """Everything that a BAST states. `rows` and `cards` have one order. `signatories` has a side only if a person is named for it."""

    handover: Handover
    issuer: Organisation
    receiver: Organisation
    cards: Sequence[Card]
    rows: Sequence[HandoverCard]
    letters: Sequence[Letter]
    signatories: dict[Side, HandoverSignatory]


def cards_of(ctx: Context, handover: Handover) -> list[Card]:
    """Return the cards of a handover, in their order on the BAST."""
    ids = [row.card_id for row in handover.cards]
    found = {card.id: card for card in ctx.session.scalars(select(Card).where(among(ctx.session, Card.id, ids)))}
    return [found[card_id] for card_id in ids]


def some_cards(ctx: Context, handover_id: UUID, after: int, most: int) -> list[Card]:
    """Return at most `most` cards of a handover behind a position, in their order on the BAST."""
    query = select(Card).join(HandoverCard, HandoverCard.card_id == Card.id)
    query = query.where(HandoverCard.handover_id == handover_id, HandoverCard.position > after)
    return list(ctx.session.scalars(query.order_by(HandoverCard.position).limit(most)))


def letters_of(ctx: Context, cards: Sequence[Card]) -> list[Letter]:
    """Return the letters by which the cards were asked for, oldest first. What is approved never changes, so neither does the answer."""
    query = (
        select(PersonalisationRequest.letter_number, PersonalisationRequest.letter_date, Organisation.name)
        .join(Organisation, Organisation.id == PersonalisationRequest.requester_id)
        .where(PersonalisationRequest.id.in_({card.personalisation_request_id for card in cards}))
        .order_by(PersonalisationRequest.letter_date, PersonalisationRequest.id)
    )
    return [Letter(*row) for row in ctx.session.execute(query)]


def cards_on_their_way_query(card_id: UUID | None = None, issuer_id: UUID | None = None) -> Select[UUID]:
    """Return a query of the ids of cards in handovers that nobody has answered, and of those that are missing from one; or of one card.

    A card on its way, or missing, is held by the issuer: for the cards of one holder its own handovers are enough (`issuer_id`).
    """
    # Two queries, each of few rows that an index finds: one condition with OR would look at every card that was ever handed over.
    issued = select(HandoverCard.card_id).join(Handover, Handover.id == HandoverCard.handover_id)
    issued = issued.where(Handover.state == HandoverState.ISSUED)
    missing = select(DiscrepancyCard.card_id).where(DiscrepancyCard.state == DifferenceState.MISSING)
    if card_id is not None:
        issued, missing = issued.where(HandoverCard.card_id == card_id), missing.where(DiscrepancyCard.card_id == card_id)
    if issuer_id is not None:
        issued = issued.where(Handover.issuer_id == issuer_id)
        missing = missing.join(Handover, Handover.id == DiscrepancyCard.handover_id).where(Handover.issuer_id == issuer_id)
    return select(union_all(issued, missing).subquery().c.card_id)


def is_named(ids: Select[UUID], *, each: bool = True) -> ColumnElement[bool]:
    """Return the condition that a query of ids gives a card's.

    It is asked of each card: few are looked at, and the query may give many. Without `each` PostgreSQL may read all of the query's.
    """
    found = ids.subquery()
    named = select(found).where(next(iter(found.c)) == Card.id).correlate(Card)
    return (named.offset(0) if each else named).exists()


_later, _named = aliased(Handover), aliased(HandoverCard)  # made once: it takes longer than the rest of the condition


def is_newest_receipt() -> ColumnElement[bool]:
    """Return the condition that a handover of a card is the last that brought it to its receiver. Cards go back, and are sent again."""
    return ~exists().where(
        _named.card_id == HandoverCard.card_id,
        _later.id == _named.handover_id,
        _later.id > Handover.id,
        _later.receiver_id == Handover.receiver_id,
        _later.state.in_(RECEIPTS),
    )


def units_of(ctx: Context, cards: Sequence[Card]) -> dict[UUID, Unit]:
    """Return the units that cards are tied to today, by the unit's id."""
    ids = {card.unit_id for card in cards if card.unit_id}
    return {unit.id: unit for unit in ctx.session.scalars(select(Unit).where(among(ctx.session, Unit.id, ids)))} if ids else {}


def stated_of(ctx: Context, handover: Handover) -> Stated:
    """Return what a stored BAST states."""
    cards = cards_of(ctx, handover)
    signatories = {Side(one.side): one for one in handover.signatories}
    return Stated(handover, handover.issuer, handover.receiver, cards, handover.cards, letters_of(ctx, cards), signatories)


def find_last_signatory(ctx: Context, side: Side, issuer_id: UUID, receiver_id: UUID | None = None) -> HandoverSignatory | None:
    """Return who signed for a side in the issuer's newest BAST (to this receiver, if one is given), or None.

    An issuer has typed or seen these people already; those of other issuers' BASTs are not looked at.
    """
    query = (
        select(HandoverSignatory)
        .join(Handover, Handover.id == HandoverSignatory.handover_id)
        .where(Handover.issuer_id == issuer_id, HandoverSignatory.side == side)
    )
    if receiver_id is not None:
        query = query.where(Handover.receiver_id == receiver_id)
    return ctx.session.scalars(query.order_by(Handover.id.desc()).limit(1)).first()


def list_signatories(ctx: Context, side: Side, issuer_id: UUID | None, receiver_id: UUID | None = None) -> list[KnownPerson]:
    """Return who signed for a side in the issuer's BASTs (to this receiver, if one is given), the newest first.

    As in `find_last_signatory` those of other issuers' BASTs are not looked at.
    """
    query = select(HandoverSignatory).join(Handover, Handover.id == HandoverSignatory.handover_id)
    query = query.where(Handover.issuer_id == issuer_id, HandoverSignatory.side == side)
    if receiver_id is not None:
        query = query.where(Handover.receiver_id == receiver_id)
    found = ctx.session.scalars(query.order_by(Handover.id.desc()).limit(MOST_LOOKED_AT))
    return distinct(KnownPerson(one.name, one.id_kind, one.id_number, one.position) for one in found)


def find_head(ctx: Context, organisation_id: UUID) -> Person | None:
    """Return the person who leads an organisation: its only active account in the role of head, else None."""
    query = (
        select(Person)
        .join(User, User.person_id == Person.id)
        .join(UserRole, UserRole.user_id == User.id)
        .where(User.organisation_id == organisation_id, User.state == AccountState.ACTIVE)
        .where(UserRole.role == Role.HEAD, counts(ctx.now))
        .limit(2)
    )
    heads = list(ctx.session.scalars(query))
    return heads[0] if len(heads) == 1 else None
