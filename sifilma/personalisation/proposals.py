"""Close an approved request with a remainder: one person proposes it, an approver who is another person decides."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Select, select

from sifilma.approvals.models import ProposalState
from sifilma.approvals.proposals import Proposals
from sifilma.approvals.service import require_note
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import CARD, Card, CardState
from sifilma.identity.permissions import Operation
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say
from sifilma.personalisation.blanks import service as blanks
from sifilma.personalisation.models import CLOSING, PERSONALISATION, PersonalisationClosing, PersonalisationRequest
from sifilma.personalisation.models import PersonalisationState as State
from sifilma.personalisation.results import OPEN, personalised
from sifilma.personalisation.service import KIND, get_request, requests_query

CLOSINGS = Proposals(CLOSING, PersonalisationClosing, say("Another person than the proposer decides this."))


def closings_query(ctx: Context, operation: Operation = Operation.PERSONALISATION_VIEW) -> Select[PersonalisationClosing]:
    """Return a query of the proposals to close requests that the actor may see."""
    seen = requests_query(ctx, operation).with_only_columns(PersonalisationRequest.id)
    return select(PersonalisationClosing).where(PersonalisationClosing.personalisation_request_id.in_(seen))


def find_closing(ctx: Context, request: PersonalisationRequest) -> PersonalisationClosing | None:
    """Return the newest proposal to close a request that the actor may see, or None."""
    query = select(PersonalisationClosing).where(PersonalisationClosing.personalisation_request_id == request.id)
    return ctx.session.scalars(query.order_by(PersonalisationClosing.id.desc()).limit(1)).first()


def may_propose(ctx: Context, request: PersonalisationRequest) -> bool:
    """Return whether the actor may propose to close a request: an operator, or somebody of the organisation that made it."""
    return Role.OPERATOR in ctx.actor.roles if ctx.actor.is_central else request.requester_id == ctx.actor.organisation_id


def close(ctx: Context, request_id: UUID, *, execute: bool, reason: str) -> tuple[PersonalisationRequest, bool]:
    """Propose to close a request, or decide on the proposal that waits. Return the request, and whether it was decided.

    Raise NotFound outside the actor's scope, Forbidden (`four-eyes`) for the proposer, and Conflict if the request is not being made, or
    the actor may only decide and nobody has proposed, or may only propose and a proposal waits.
    """
    request = _own(ctx, request_id)
    require_note(reason)
    found = find_closing(ctx, request)
    if found is None or found.state != ProposalState.PROPOSED:
        _propose(ctx, request, reason)
        return request, False
    _decide(ctx, request, found, execute, reason)
    return request, True


def _own(ctx: Context, request_id: UUID) -> PersonalisationRequest:
    request = get_request(ctx, request_id, Operation.PERSONALISATION_CLOSE)
    if not ctx.actor.is_central and request.requester_id != ctx.actor.organisation_id:
        raise NotFound()
    return request


def _propose(ctx: Context, request: PersonalisationRequest, reason: str) -> None:
    if not may_propose(ctx, request):
        raise Conflict("Nobody has proposed to close this request: an operator or its requester does that first.", type="no-proposal")
    hold(ctx.session, request)  # of two that propose at once the second finds the first
    _require_open(request)
    if (found := find_closing(ctx, request)) is not None and found.state == ProposalState.PROPOSED:
        raise Conflict("A proposal to close this request waits already.", type="proposed-already")
    act = record(
        ctx, Action.PERSONALISATION_CLOSE_PROPOSE, KIND, request.id, organisation_id=request.requester_id, reason=reason,
        quantity=request.quantity, made=personalised(ctx, request),
    )  # fmt: skip
    proposal = PersonalisationClosing(id=uuid7(), personalisation_request_id=request.id, reason=reason)
    CLOSINGS.propose(ctx, proposal, act, reason)


def _decide(ctx: Context, request: PersonalisationRequest, proposal: PersonalisationClosing, execute: bool, note: str) -> None:
    if Role.APPROVER not in ctx.actor.roles:
        raise Conflict("The proposal waits for an approver.", type="proposed-already")
    hold(ctx.session, request)  # before the proposal: results lock the request, too
    CLOSINGS.take(ctx, proposal)
    CLOSINGS.require_second_person(ctx, proposal)
    if execute:
        _require_open(request)
    made = personalised(ctx, request)
    action = Action.PERSONALISATION_CLOSE if execute else Action.PERSONALISATION_CLOSE_REJECT
    act = record(
        ctx, action, KIND, request.id, organisation_id=request.requester_id, reason=proposal.reason, note=note, quantity=request.quantity,
        made=made,
    )  # fmt: skip
    if execute:
        proposal.remainder = request.quantity - made
    CLOSINGS.decide(ctx, proposal, execute, act, note)
    if execute:
        _carry_out(ctx, request, act, note)


def _carry_out(ctx: Context, request: PersonalisationRequest, act: Act, note: str) -> None:
    """Close the request. Cards of its batch that were never made are revoked, and blanks that were issued for it return to the store."""
    unmade = select(Card).where(Card.personalisation_request_id == request.id, Card.state == CardState.REGISTERED).with_for_update()
    cards = list(ctx.session.scalars(unmade))
    for card in cards:
        CARD.move(ctx.session, card, CardState.REVOKED, act, say("The request was closed before this card was made."))
    blanks.settle_closed(ctx, request.id, [card.uid for card in cards], act)
    PERSONALISATION.move(ctx.session, request, State.CLOSED, act, note)
    ctx.session.flush()


def _require_open(request: PersonalisationRequest) -> None:
    if request.state not in OPEN:
        raise Conflict(say("A request that is %(state)s cannot be closed with a remainder.", state=request.state), state=request.state)
