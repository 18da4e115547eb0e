"""The choices of the form for a BAST: the next receivers in the chain, and the cards that wait for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, bindparam, func, select, union_all

from sifilma.cards.derived.queries import held_by_maker
from sifilma.cards.models import Card
from sifilma.cards.schemas import CardOut
from sifilma.cards.serializers import cards_out
from sifilma.documents.known_people import KnownPerson
from sifilma.documents.letterhead import seat
from sifilma.handover import returns
from sifilma.handover.models import Side
from sifilma.handover.queries import find_head, find_last_signatory, list_signatories
from sifilma.handover.service import POSITIONS, acting_signatory, ready_state
from sifilma.identity.models import Organisation
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.statements import built_once
from sifilma.personalisation.models import PersonalisationRequest

MOST_SHOWN, MOST_NAMED = 200, 2_000
"""Cards that a form shows, and those besides that are named already: by the request that is asked for, or by the form as it was sent."""
MOST_LOOKED_AT = 50
"""Cards of each state that are looked at to know which can go back. Of a holder with more the tally says how many there are."""
SIGNATORY_FIELDS = ("name", "id_kind", "id_number", "position")


@dataclass(frozen=True)
class Receiver:
    """An organisation that can receive cards now, and how many wait for it."""

    id: UUID
    name: str
    kind: str
    count: int


@dataclass(frozen=True)
class Lot:
    """The cards of one personalisation request, named by its letter."""

    request_id: UUID
    letter_number: str
    letter_date: date
    cards: list[CardOut] = field(default_factory=list)


def receivers(ctx: Context) -> list[Receiver]:
    """Return the organisations that the actor's organisation can hand cards over to now, by name."""
    here = select(Card.personalisation_request_id.label("request"), func.count().label("cards")).where(*_here(ctx))
    # Cards are counted before their requests are looked up: thousands of cards wait, of some hundred requests.
    waiting = here.group_by(Card.personalisation_request_id).subquery("waiting")
    query = (
        select(Organisation.id, Organisation.name, Organisation.kind, func.sum(waiting.c.cards))
        .select_from(waiting)
        .join(PersonalisationRequest, PersonalisationRequest.id == waiting.c.request)
        .join(Organisation, Organisation.id == _next_owner(ctx))
        .where(_next_owner(ctx) != ctx.actor.organisation_id)
        .group_by(Organisation.id, Organisation.name, Organisation.kind)
        .order_by(Organisation.name)
    )
    return [Receiver(key, name, kind, int(count)) for key, name, kind, count in ctx.session.execute(query)]


def chosen(receivers: list[Receiver], asked: str) -> Receiver | None:
    """Return the only receiver, or the one that is asked for by its id."""
    return receivers[0] if len(receivers) == 1 else next((one for one in receivers if str(one.id) == asked), None)


def lots(ctx: Context, receiver_id: UUID, of: UUID | None = None, named: Sequence[str] = ()) -> list[Lot]:
    """Return the cards that wait for a receiver, grouped by request: the first MOST_SHOWN, and those of a request or with these UIDs."""
    query = (
        select(Card, PersonalisationRequest.letter_number, PersonalisationRequest.letter_date)
        .join(PersonalisationRequest, PersonalisationRequest.id == Card.personalisation_request_id)
        .where(*_ready(ctx), _next_owner(ctx) == receiver_id)
        .order_by(Card.personalisation_request_id, Card.uid)
    )
    first_ones = query if of is None else query.where(Card.personalisation_request_id == of)
    found = {row.Card.id: row for row in ctx.session.execute(first_ones.limit(MOST_SHOWN if of is None else MOST_NAMED))}
    if named:
        those = query.where(Card.uid.in_(named[:MOST_NAMED]))
        found |= {row.Card.id: row for row in ctx.session.execute(those)}
    rows = sorted(found.values(), key=lambda row: (row.Card.personalisation_request_id, row.Card.uid))
    made: dict[UUID, Lot] = {}
    for row, shown in zip(rows, cards_out(ctx, [row.Card for row in rows]), strict=True):
        made.setdefault(
            row.Card.personalisation_request_id, Lot(row.Card.personalisation_request_id, row.letter_number, row.letter_date)
        ).cards.append(shown)
    return list(made.values())


@dataclass(frozen=True)
class Pile:
    """Cards that can go back, in one state."""

    state: str
    cards: list[CardOut]


def return_receivers(ctx: Context) -> list[Receiver]:
    """Return to whom the actor's organisation can give cards back now: the directorate, and the makers of its cards, by name.

    Where there are many cards, those are counted that it holds in such a state, be they asked for or not.
    """
    own = ctx.actor.organisation_id
    looked_at = [] if own is None or ctx.actor.is_central else _returnable(ctx, MOST_LOOKED_AT + 1)
    if not looked_at:
        return []
    if any(count > MOST_LOOKED_AT for count in Counter(state for _, state in looked_at).values()):
        by_maker = held_by_maker(ctx, returns.RETURNABLE)
        total = sum(by_maker.values())
    else:
        total, ids = len(looked_at), [key for key, _ in looked_at]
        by_maker = Counter(ctx.session.scalars(select(returns.maker_id()).select_from(Card).where(Card.id.in_(ids))))
    directorate = select(Organisation).where(Organisation.kind == OrganisationKind.DIRECTORATE)
    makers = select(Organisation).where(Organisation.id.in_([key for key in by_maker if key not in (None, own)]))
    return [
        *(Receiver(one.id, one.name, one.kind, total) for one in ctx.session.scalars(directorate)),
        *(Receiver(one.id, one.name, one.kind, by_maker[one.id]) for one in ctx.session.scalars(makers.order_by(Organisation.name))),
    ]


def _returnable(ctx: Context, most: int, maker: UUID | None = None) -> list[tuple[UUID, str]]:
    """Return the newest cards of the actor's organisation, or those of a maker, that can go back: ids and states."""
    rows = built_once.rows(ctx, returnable_query, (most, maker is not None), {"maker": maker})
    return [(key, state) for key, state in rows]


def returnable_query(ctx: Context, wanted: tuple[int, bool]) -> Select[Any]:
    """Return the query of `_returnable`: how many of each state at most, and whether of the `maker`."""
    most, of_maker = wanted
    return _returnable_query(ctx, most, *([returns.maker_id() == bindparam("maker", type_=Uuid())] if of_maker else []))


def _returnable_query(ctx: Context, most: int, *which: ColumnElement[bool]) -> Select[Any]:
    # By states: those of one are found by the index in their order, whatever the others are.
    own, arms = ctx.actor.organisation_id, []
    for state in returns.RETURNABLE:
        newest = select(Card.id).where(Card.holder_id == own, Card.state == state, *which).order_by(Card.id.desc()).limit(MOST_NAMED)
        free = select(Card.id, Card.state).where(Card.id.in_(select(newest.subquery().c.id)), *returns.returnable(own))
        arms.append(select(free.limit(most).subquery()))
    return select(union_all(*arms).subquery())


def return_lots(ctx: Context, to: Receiver, named: Sequence[str] = ()) -> list[Pile]:
    """Return the cards that can go back to a receiver, by their state: the newest MOST_LOOKED_AT of each, and those with these UIDs."""
    own = ctx.actor.organisation_id
    maker = to.id if to.kind == OrganisationKind.MANUFACTURER else None
    if own is None:
        return []
    ids = [key for key, _ in _returnable(ctx, MOST_LOOKED_AT, maker)]
    if named:
        which = [Card.uid.in_(named[:MOST_NAMED]), *([returns.maker_id() == maker] if maker else [])]
        ids += [key for key, _ in ctx.session.execute(_returnable_query(ctx, MOST_NAMED, *which))]
    found = select(Card).where(Card.id.in_(ids)).order_by(Card.state, Card.uid)
    cards = list(ctx.session.scalars(found))
    shown = cards_out(ctx, cards)
    return [Pile(state, [one for one in shown if one.state == state]) for state in dict.fromkeys(card.state for card in cards)]


def find_receiver(ctx: Context, request_id: UUID) -> UUID | None:
    """Return the organisation to which the actor's organisation hands over the cards of a request, or None if none of them is ready."""
    query = select(_next_owner(ctx)).join(Card, Card.personalisation_request_id == PersonalisationRequest.id)
    found: UUID | None = ctx.session.scalar(query.where(PersonalisationRequest.id == request_id, *_ready(ctx)).limit(1))
    return found


def suggested(ctx: Context, receiver_id: UUID) -> dict[str, str]:
    """Return what the form holds before somebody types: the issuer's place, and who signed last for each side.

    The first time, the person who acts signs for the issuer. The directorate, which sees all accounts, is offered the receiver's head.
    """
    issuer = ctx.session.get_one(Organisation, ctx.actor.organisation_id)
    found = {"place": seat(ctx.session, issuer)}
    giving = find_last_signatory(ctx, Side.ISSUER, issuer.id) or acting_signatory(ctx)
    taking = find_last_signatory(ctx, Side.RECEIVER, issuer.id, receiver_id)
    for side, person in ((Side.ISSUER, giving), (Side.RECEIVER, taking)):
        if person is not None:
            found |= {f"{side}_signatory.{name}": str(getattr(person, name)) for name in SIGNATORY_FIELDS}
    if taking is None and ctx.actor.is_central and (head := find_head(ctx, receiver_id)):
        particulars = {"name": head.name, "id_kind": head.id_kind, "id_number": head.id_number, "position": POSITIONS[Role.HEAD]}
        found |= {f"{Side.RECEIVER}_signatory.{name}": value for name, value in particulars.items()}
    return found


def signed_before(ctx: Context, receiver_id: UUID | None) -> dict[str, list[KnownPerson]]:
    """Return who signed earlier BASTs of the actor's organisation, by the group of the form; for the receiver, those to this one."""
    own = ctx.actor.organisation_id
    return {
        f"{Side.ISSUER}_signatory": list_signatories(ctx, Side.ISSUER, own),
        f"{Side.RECEIVER}_signatory": list_signatories(ctx, Side.RECEIVER, own, receiver_id),
    }


def _here(ctx: Context) -> tuple[Any, ...]:
    # Whoever hands cards on is not their buyer: an index has those that are on their way.
    return Card.holder_id == ctx.actor.organisation_id, Card.holder_id != Card.buyer_id, Card.state == ready_state(ctx)


def _ready(ctx: Context) -> tuple[Any, ...]:
    return *_here(ctx), _next_owner(ctx) != ctx.actor.organisation_id


def _next_owner(ctx: Context) -> Any:
    """Return the column of the next holder: the directorate gives to the requester, a manufacturer to the buyer."""
    central = ctx.actor.organisation_kind is OrganisationKind.DIRECTORATE
    return PersonalisationRequest.requester_id if central else PersonalisationRequest.buyer_id
