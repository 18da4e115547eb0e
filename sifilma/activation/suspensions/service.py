"""A rejected place suspends its card: at once by a second person, or when its deadline has passed. A relocation answers it.

Locks are taken in the order of an activation: the proposal before the manifest, the manifest before the card.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from sifilma.activation.models import Activation, Manifest, ManifestState
from sifilma.activation.suspensions.models import PLACE_SUSPENSION, PlaceSuspension, SuspensionState
from sifilma.activation.suspensions.queries import find_open, get_suspension
from sifilma.approvals import four_eyes
from sifilma.approvals.service import require_note
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards import program_reports
from sifilma.cards.models import Card, CardState, CardSuspension
from sifilma.cards.program_reports import suspend
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Forbidden
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say

KIND, CAUSE = PLACE_SUSPENSION.kind, "place"


def propose(ctx: Context, activation: Activation, within: timedelta, act: Act, note: str) -> PlaceSuspension | None:
    """Open a proposal to suspend the card of a place that was just rejected by `act`. Return it.

    None if the place no longer counts (the card was relocated since, or is not in use), or if an earlier proposal on the card is open: it
    keeps its deadline.
    """
    card = lock(ctx.session, activation.card_id)
    stands = card.state in (CardState.ACTIVE, CardState.SUSPENDED) and _is_newest(ctx.session, activation, card)
    if not stands or find_open(ctx.session, card.id) is not None:
        return None
    assert ctx.actor.person_id is not None  # noqa: S101  # the request gate lets only people review
    made = PlaceSuspension(
        id=uuid7(),
        card_id=card.id,
        activation_id=activation.id,
        organisation_id=activation.organisation_id,
        reason=note,
        due_at=ctx.now + within,
        proposed_by_person=ctx.actor.person_id,
        proposed_at=ctx.now,
    )
    PLACE_SUSPENSION.born(made, SuspensionState.PROPOSED, act, note)
    ctx.session.add(made)
    ctx.session.flush()
    PLACE_SUSPENSION.announce(ctx.session, made, act)
    return made


def _is_newest(session: Session, activation: Activation, card: Card) -> bool:
    """Return whether the card stands where this activation stated, though its manifest may have been issued anew since."""
    newest = select(Activation.id).join(Manifest, Manifest.activation_id == Activation.id)
    newest = newest.where(Manifest.card_id == card.id, Manifest.seq == card.seq)
    return session.scalar(newest.where(or_(Activation.id == activation.id, Activation.stated_by == activation.id)).limit(1)) is not None


def decide(ctx: Context, suspension_id: UUID, *, suspend_now: bool, note: str) -> PlaceSuspension:
    """Suspend the card at once, or drop the proposal, with a note. The actor is not the person who rejected the place.

    Raise NotFound outside the actor's scope, Forbidden (`four-eyes`), and Conflict if it was decided already or the card is not active.
    """
    found, card = _held(ctx, suspension_id)
    require_note(note)
    if found.state != SuspensionState.PROPOSED:
        raise Conflict("This proposal has been decided.", state=found.state)
    if suspend_now and card.state != CardState.ACTIVE:
        raise Conflict(say("The card is %(state)s: decide on that first.", state=card.state), type="card-not-ready", state=card.state)
    action = Action.PLACE_SUSPENSION_EXECUTE if suspend_now else Action.PLACE_SUSPENSION_DROP
    act = record(ctx, action, KIND, found.id, organisation_id=found.organisation_id, card=card.uid, note=note)
    found.decided_by_person, found.decided_at = ctx.actor.person_id, ctx.now
    if suspend_now:
        execute(ctx.session, found, card, act, note)
    else:
        PLACE_SUSPENSION.move(ctx.session, found, SuspensionState.DROPPED, act, note)
        ctx.session.flush()
    return found


def execute(session: Session, found: PlaceSuspension, card: Card, act: Act, note: str) -> None:
    """Suspend the card, and with it its manifest (a hook). Both rows are locked."""
    opened = program_reports.open_suspension(session, card, CAUSE, act)
    found.suspension_id = opened.id
    PLACE_SUSPENSION.move(session, found, SuspensionState.SUSPENDED, act, note)
    session.flush()
    suspend(session, card, act, note)


def lift(ctx: Context, suspension_id: UUID, note: str) -> PlaceSuspension:
    """Lift a suspension, with a note: card and manifest are as they were. The actor is not the person who rejected the place.

    Raise NotFound outside the actor's scope, Forbidden (`four-eyes`), and Conflict if the card is not suspended for its place.
    """
    found, card = _held(ctx, suspension_id)
    require_note(note)
    if found.state != SuspensionState.SUSPENDED:
        raise Conflict("This card is not suspended for its place.", state=found.state)
    act = record(ctx, Action.PLACE_SUSPENSION_LIFT, KIND, found.id, organisation_id=found.organisation_id, card=card.uid, note=note)
    found.lifted_by_person = ctx.actor.person_id
    _end(ctx.session, found, card, SuspensionState.LIFTED, act, note)
    return found


def answer(ctx: Context, activation: Activation, act: Act, note: str) -> None:
    """Answer what is open on the card, since the place of this later activation was just accepted by `act`."""
    found = find_open(ctx.session, activation.card_id)
    if found is None or activation.id <= found.activation_id:
        return
    hold(ctx.session, found)
    card = lock(ctx.session, found.card_id)
    if _is_newest(ctx.session, activation, card):
        _end(ctx.session, found, card, SuspensionState.ANSWERED, act, note)


def lock(session: Session, card_id: UUID) -> Card:
    """Lock the manifest in force of a card, then the card, in the order of an activation. Return the card as it is now."""
    standing = Manifest.state.in_((ManifestState.ACTIVE, ManifestState.SUSPENDED))
    session.scalars(select(Manifest.id).where(Manifest.card_id == card_id, standing).with_for_update()).all()
    card = session.get_one(Card, card_id)
    hold(session, card)
    return card


def close(session: Session, card: Card, act: Act) -> bool:
    """Close what is open on a card whose manifest is about to end. Return whether the card was suspended for its place.

    The caller moves the card next.
    """
    found = find_open(session, card.id)
    if found is None:
        return False
    was_suspended = found.state == SuspensionState.SUSPENDED
    PLACE_SUSPENSION.move(session, found, SuspensionState.CLOSED, act, say("The manifest of that place has ended."))
    session.flush()
    if found.suspension_id is not None:
        program_reports.close(session, card, session.get_one(CardSuspension, found.suspension_id), act)
    return was_suspended


def _held(ctx: Context, suspension_id: UUID) -> tuple[PlaceSuspension, Card]:
    """Return a proposal and its card, both locked. Raise Forbidden for the person who rejected the place."""
    found = get_suspension(ctx, suspension_id, Operation.PLACE_SUSPENSION_DECIDE)
    hold(ctx.session, found)
    if four_eyes.is_proposer(found, ctx.actor.person_id):
        raise Forbidden("Another person than the one who rejected the place decides this.", type="four-eyes")
    return found, lock(ctx.session, found.card_id)


def _end(session: Session, found: PlaceSuspension, card: Card, state: SuspensionState, act: Act, note: str) -> None:
    """End what is open; a suspended card returns to its former state, and a hook brings its manifest back into force."""
    PLACE_SUSPENSION.move(session, found, state, act, note)
    session.flush()
    if found.suspension_id is not None:
        program_reports.lift(session, card, session.get_one(CardSuspension, found.suspension_id), act, note)
