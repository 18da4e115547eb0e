"""Which proposals to suspend an actor may see, and which cards are ready for an activation request although they are suspended."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, or_, select
from sqlalchemy.orm import Session, aliased

from sifilma.activation.models import READY, Activation, RequestKind
from sifilma.activation.suspensions.models import OPEN, PlaceSuspension, SuspensionState
from sifilma.cards.models import Card, CardState
from sifilma.cards.outlets.queries import card_at_outlets
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.paging import Listing
from sifilma.kernel.statements.prepared import Prepared


def suspensions_query(ctx: Context, operation: Operation = Operation.PLACE_SUSPENSION_SEE) -> Select[PlaceSuspension]:
    """Return a query of the proposals the actor may see: those on cards that their organisation held."""
    there = card_at_outlets(PlaceSuspension.card_id)
    return scoped(select(PlaceSuspension), ctx.actor, operation, PlaceSuspension.organisation_id, unit=there)


def list_suspensions(ctx: Context, state: str | None) -> Listing[PlaceSuspension]:
    """Return the proposals and suspensions the actor may see, of one state if it is given."""
    query = suspensions_query(ctx)
    return (query.where(PlaceSuspension.state == state) if state else query), PlaceSuspension.id


def get_suspension(ctx: Context, suspension_id: UUID, operation: Operation = Operation.PLACE_SUSPENSION_SEE) -> PlaceSuspension:
    """Return one proposal. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(suspensions_query(ctx, operation).where(PlaceSuspension.id == suspension_id)).first()
    if found is None:
        raise NotFound()
    return found


_IS_OPEN = or_(*(PlaceSuspension.state == one for one in OPEN))
_OPEN = Prepared(select(PlaceSuspension.id).where(PlaceSuspension.card_id == bindparam("card"), _IS_OPEN))


def find_open(session: Session, card_id: UUID) -> PlaceSuspension | None:
    """Return the proposal or suspension of a card that is open, or None. The caller has checked that the actor may see the card."""
    found = _OPEN.read(session, {"card": card_id})
    return session.get_one(PlaceSuspension, found[0].id) if found else None


def find_of_activation(ctx: Context, activation: Activation) -> PlaceSuspension | None:
    """Return the proposal that the rejection of this place opened, or None. The caller has checked that the actor may see the place."""
    if activation.review_state != "rejected":
        return None  # nothing else opens one: the database refuses it
    return ctx.session.scalars(select(PlaceSuspension).where(PlaceSuspension.activation_id == activation.id)).first()


def is_ready(kind: RequestKind) -> ColumnElement[bool]:
    """Return a condition in SQL: the card is in the state that a request of this kind needs.

    A card that is suspended for its place can be relocated: that is what answers the suspension.
    """
    usual = Card.state.in_(READY[kind])
    if kind is not RequestKind.RELOCATION:
        return usual
    misplaced = exists().where(PlaceSuspension.card_id == Card.id, PlaceSuspension.state == SuspensionState.SUSPENDED)
    return or_(usual, and_(Card.state == CardState.SUSPENDED, misplaced))


def find_unreviewed(session: Session, found: PlaceSuspension) -> UUID | None:
    """Return the id of a later activation of the card whose place waits for its review, or None."""
    query = select(Activation.id).where(Activation.card_id == found.card_id, Activation.review_state == "waiting")
    return session.scalars(query.where(Activation.id > found.activation_id).order_by(Activation.id.desc())).first()


_later = aliased(Activation)


def unreviewed() -> ColumnElement[bool]:
    """Return a condition in SQL on proposals: the card was relocated since, and an operator has not looked at the new place yet."""
    return exists().where(
        _later.card_id == PlaceSuspension.card_id, _later.review_state == "waiting", _later.id > PlaceSuspension.activation_id
    )
