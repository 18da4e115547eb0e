"""Cards that go back: who may return which, to whom, and the state in which they arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select

from sifilma.cards.models import Card, CardState, DeviceModel, Unit
from sifilma.handover.models import Handover, HandoverKind, ReturnReason
from sifilma.handover.queries import cards_on_their_way_query, is_named
from sifilma.identity.models import Organisation
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.db import among
from sifilma.kernel.errors import Forbidden, Invalid
from sifilma.kernel.text import say
from sifilma.personalisation.models import PersonalisationRequest

BROKEN = (CardState.DAMAGED, CardState.LOCKED, CardState.REVOKED)
"""The states that a card keeps on its way back."""
RETURNABLE = (CardState.RECEIVED, *BROKEN)
ISSUERS = (OrganisationKind.DIRECTORATE, OrganisationKind.MANUFACTURER)
"""Who hands cards on. The others use their cards, and only give them back."""
ENDED = (ReturnReason.AGREEMENT_ENDED, ReturnReason.SANCTION)
_bound: list[Callable[[], Select[UUID]]] = []


def bind(query: Callable[[], Select[UUID]]) -> None:
    """Keep the cards of a query from going back, because something open names them. Binding one twice has no effect."""
    if query not in _bound:
        _bound.append(query)


def require_may(ctx: Context, kind: HandoverKind) -> None:
    """Raise Forbidden for a delivery by a holder who only uses cards, and for a return by the directorate, to which they go back."""
    if kind is HandoverKind.DELIVERY and ctx.actor.organisation_kind not in ISSUERS:
        raise Forbidden("Only the directorate and manufacturers hand cards on. Issue a return.", type="returns-only")
    if kind is HandoverKind.RETURN and ctx.actor.is_central:
        raise Forbidden("Cards go back to the directorate, not from it.", type="delivers-only")


def hold_cards(ctx: Context, uids: Sequence[str]) -> None:
    """Lock cards until the transaction ends: a broken card takes no step when it goes back, which would tell two returns apart."""
    # Rows are locked in the order of their ids, so that two returns cannot deadlock.
    ctx.session.execute(select(Card.id).where(among(ctx.session, Card.uid, uids)).order_by(Card.id).with_for_update(key_share=True))


def returnable(holder_id: UUID | None = None) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of cards that can go back: not in use, in no open BAST, and named by nothing else that is open.

    With a holder, of its cards: BASTs of others do not name them.
    """
    return (
        Card.state.in_(RETURNABLE),
        ~is_named(cards_on_their_way_query(issuer_id=holder_id)),
        *(~is_named(query()) for query in _bound),
    )


def maker_id() -> Any:
    """Return the column of a card's maker: the manufacturer that asked for it, else that of the unit it is tied to, else NULL."""
    asked = select(Organisation.id).join(PersonalisationRequest, PersonalisationRequest.requester_id == Organisation.id)
    asked = asked.where(PersonalisationRequest.id == Card.personalisation_request_id, Organisation.kind == OrganisationKind.MANUFACTURER)
    tied = select(DeviceModel.manufacturer_id).join(Unit, Unit.model_id == DeviceModel.id).where(Unit.id == Card.unit_id)
    return func.coalesce(asked.correlate(Card).scalar_subquery(), tied.correlate(Card).scalar_subquery())


def require_way_back(ctx: Context, receiver: Organisation, cards: Sequence[Card]) -> None:
    """Raise Invalid unless the receiver is the directorate or made every one of the cards."""
    if receiver.kind == OrganisationKind.DIRECTORATE:
        return
    named = among(ctx.session, Card.id, [card.id for card in cards])
    other = ctx.session.scalars(select(Card.uid).where(named, maker_id().is_distinct_from(receiver.id)).order_by(Card.uid).limit(1)).first()
    if other is not None or receiver.kind != OrganisationKind.MANUFACTURER:
        told = say("%(uid)s goes back to its manufacturer or to the directorate only.", uid=other or (cards[0].uid if cards else ""))
        raise Invalid.field("to", told, type="wrong-receiver")


def arrival_state(handover: Handover) -> CardState:
    """Return the state in which an intact card arrives.

    A delivered card is received. A returned one is revoked if its use has ended for good; after a repair it can be handed on again.
    """
    if handover.kind == HandoverKind.DELIVERY:
        return CardState.RECEIVED
    if handover.reason in ENDED:
        return CardState.REVOKED
    return CardState.PERSONALISED if handover.receiver.kind == OrganisationKind.DIRECTORATE else CardState.RECEIVED
