"""The operator's review of places that did not pass the check."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sifilma.activation.models import Activation
from sifilma.activation.queries import activations_query, get_activation
from sifilma.activation.suspensions import service as suspensions
from sifilma.approvals.service import require_note
from sifilma.assignment import service as assignment
from sifilma.assignment.queries import narrowed
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, NotFound
from sifilma.kernel.paging import Listing


def list_reviews(ctx: Context, state: str, holder: str = "") -> Listing[Activation]:
    """Return the activations whose review is in this state. `holder` is a filter of `assignment.queries`."""
    found = activations_query(ctx, Operation.PLACE_SEE).where(Activation.review_state == state)
    return (found.where(narrowed(ctx, Activation.id, holder)) if holder else found), Activation.id


def get_review(ctx: Context, activation_id: UUID) -> Activation:
    """Return an activation whose place did not pass. Raise NotFound for any other."""
    activation = get_activation(ctx, activation_id, Operation.PLACE_SEE)
    if activation.review_state == "none":
        raise NotFound()
    return activation


def decide(ctx: Context, activation_id: UUID, decision: str, note: str, within: timedelta) -> Activation:
    """Accept or reject a place, once, with a note.

    A rejected place opens a proposal to suspend its card: another person decides `within` this time, or the card is suspended. The manifest
    stays in force until then. An accepted place answers what an earlier one had opened.

    Raise NotFound outside the scope, and Conflict if the place does not wait for a review.
    """
    activation = get_activation(ctx, activation_id, Operation.PLACE_REVIEW)
    if activation.review_state != "waiting":
        raise Conflict("This place does not wait for a review.", state=activation.review_state)
    activation.review_state, activation.review_note = decision, require_note(note)
    activation.reviewed_by, activation.reviewed_at = ctx.actor.person_id, ctx.now
    act = record(
        ctx, Action.ACTIVATION_REVIEW, "activation", activation.id, organisation_id=activation.organisation_id, decision=decision, note=note
    )
    assignment.release(ctx.session, activation.id)
    ctx.session.flush()
    if decision == "rejected":
        suspensions.propose(ctx, activation, within, act, note)
    else:
        suspensions.answer(ctx, activation, act, note)
    return activation
