"""The ways of requests, BASTs and destructions, and what the way of a card has in common with them.

A way is read in a fixed number of statements, whatever the number of cards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, case, func, select

from sifilma.activation.models import ACTIVATION_REQUEST, ActivationRequest, ActivationRequestCard, RequestState, Token, TokenState
from sifilma.activation.requests.service import is_busy
from sifilma.approvals.four_eyes import EDITABLE
from sifilma.approvals.models import ProposalState
from sifilma.cards.models import Card, CardState
from sifilma.destruction.models import DESTRUCTION, Destruction, DestructionState
from sifilma.handover.discrepancies.models import DifferenceState, DiscrepancyCard
from sifilma.handover.models import HANDOVER, RECEIPTS, Handover, HandoverCard, HandoverKind, HandoverState
from sifilma.handover.queries import is_newest_receipt
from sifilma.identity.models import Organisation, Person, User
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.lifecycle import History
from sifilma.kernel.statements.built_once import one_of_given
from sifilma.kernel.statements.prepared import Prepared
from sifilma.personalisation.models import PERSONALISATION, PersonalisationRequest
from sifilma.personalisation.models import PersonalisationState as P
from sifilma.personalisation.proposals import find_closing
from sifilma.reports.way.queries import MOST_UNASKED
from sifilma.reports.way.serializers import Awaited, Status, Step, Way, counted

APPROVERS, OPERATORS = "approvers", "operators"
"""Who has a step at the directorate: keys of `step_labels.HOLDERS`."""
BROKEN = (CardState.DAMAGED, CardState.LOCKED, CardState.REVOKED, CardState.DESTROYED)
AHEAD = (RequestState.DRAFT, RequestState.RETURNED, RequestState.SUBMITTED, RequestState.APPROVED)


@dataclass(frozen=True)
class Taken:
    """A step of an object's life: the state it led to, when, and who took it (empty: the system)."""

    kind: str
    object_id: UUID
    state: str
    at: datetime
    who: str


@dataclass(frozen=True)
class Group:
    """Cards of an object that are in one state, at one holder: how many, since when, and how many an open activation request names."""

    state: str
    holder_id: UUID
    buyer_id: UUID
    request_id: UUID
    count: int
    since: datetime
    asked: int

    @property
    def is_at_buyer(self) -> bool:
        """Return whether the cards have come to where they are used."""
        return self.holder_id == self.buyer_id and self.state not in (CardState.HANDED_OVER, CardState.REGISTERED, CardState.PERSONALISED)


_TAKEN = Prepared(
    select(History.object_kind, History.object_id, History.to_state, History.at, Person.name, Organisation.name.label("organisation"))
    .outerjoin(User, User.id == History.user_id)
    .outerjoin(Person, Person.id == User.person_id)
    .outerjoin(Organisation, Organisation.id == User.organisation_id)
    .where(one_of_given(History.object_kind, "kinds"), one_of_given(History.object_id, "ids"))
    .order_by(History.id)
)


def taken(ctx: Context, *objects: tuple[str, UUID]) -> list[Taken]:
    """Return the steps of several objects, oldest first, with the names of those who took them, in one statement."""
    rows = _TAKEN.read(ctx.session, {"kinds": {kind for kind, _ in objects}, "ids": [key for _, key in objects]})
    named = {key: kind for kind, key in objects}
    return [
        Taken(row.object_kind, row.object_id, row.to_state, row.at, f"{row.name} · {row.organisation}" if row.name else "")
        for row in rows
        if named[row.object_id] == row.object_kind
    ]


def last(steps: Sequence[Taken], *states: str) -> Taken | None:
    """Return the newest step that led to one of these states."""
    return next((step for step in reversed(steps) if step.state in states), None)


def done(name: str, step: Taken | None, who: str = "") -> Step:
    """Return a step that is done."""
    return Step(name, Status.DONE, who or (step.who if step else ""), step.at if step else None)


def groups(ctx: Context, of: Any) -> list[Group]:
    """Return the cards that meet a condition, by state and holder, in one statement."""
    asked = func.sum(case((is_busy(), 1), else_=0))
    by = (Card.state, Card.holder_id, Card.buyer_id, Card.personalisation_request_id)
    rows = ctx.session.execute(select(*by, func.count(Card.id), func.min(Card.changed_at), asked).where(of).group_by(*by))
    return [
        Group(state, holder, buyer, request, count, since, int(named or 0)) for state, holder, buyer, request, count, since, named in rows
    ]


# --- letter and approval: the same for both kinds of request ---------------------------------------------------------


def letter_and_approval(request: Any, owner: str, steps: Sequence[Taken]) -> list[Step]:
    """Return the first two steps of a request with a letter. `owner` is the name of the organisation that made it."""
    ended = request.state in (P.REJECTED, P.CANCELLED, RequestState.EXPIRED)
    if request.state in EDITABLE or (request.state == P.CANCELLED and request.submitted_at is None):
        status = Status.STOPPED if ended else Status.CURRENT
        return [Step("letter", status, owner, request.changed_at), Step("approval", total=request.required_approvals)]
    sent = Step("letter", Status.DONE, owner, request.submitted_at)
    approved = last(steps, "approved")
    step = Step("approval", total=request.required_approvals)
    if approved:
        return [sent, replace(step, status=Status.DONE, who=approved.who, at=approved.at, done=request.required_approvals)]
    if ended:
        end = last(steps, request.state)
        return [sent, replace(step, status=Status.STOPPED, who=end.who if end else "", at=request.changed_at)]
    given = len({one.person_id for one in request.approvals if one.digest == request.digest})
    return [sent, replace(step, status=Status.CURRENT, who=APPROVERS, at=request.submitted_at, done=given)]


def _decided(kind: str, request: Any) -> list[Awaited]:
    """Return what a request waits for until it is approved."""
    by_state = {
        "draft": [f"submit_{kind}"],
        "returned": [f"mend_{kind}"],
        "submitted": [f"approve_{kind}"] if request.verified_at else [f"approve_{kind}", f"verify_{kind}"],
    }
    return [Awaited(task, request.id) for task in by_state.get(request.state, [])]


# --- a personalisation request ---------------------------------------------------------------------------------------


def of_personalisation(ctx: Context, request: PersonalisationRequest) -> Way:
    """Return the way of a personalisation request: letter, approval, personalisation, BAST, activation, manifest."""
    steps = taken(ctx, (PERSONALISATION.kind, request.id))
    first = letter_and_approval(request, request.requester.name, steps)
    is_made = request.state in (P.APPROVED, P.PERSONALISING, P.COMPLETED, P.CLOSED)
    cards = groups(ctx, Card.personalisation_request_id == request.id) if is_made else []
    awaited = _decided("personalisation", request)
    if request.state in (P.APPROVED, P.PERSONALISING):
        awaited.append(Awaited("record_results", request.id))
        closing = find_closing(ctx, request)
        if closing is not None and closing.state == ProposalState.PROPOSED:
            awaited.append(Awaited("decide_closing", request.id))
    if cards:
        awaited += _of_cards(ctx, cards, Card.personalisation_request_id == request.id)
    why = request.state if request.state in (P.REJECTED, P.CANCELLED) or (request.state == P.CLOSED and not awaited) else ""
    return Way([*first, _personalised(request, steps, cards), *_delivered(request, cards), *_used(cards, request.buyer.name)], awaited, why)


def _personalised(request: PersonalisationRequest, steps: Sequence[Taken], cards: Sequence[Group]) -> Step:
    good = sum(group.count for group in cards if group.state not in (CardState.REGISTERED, *BROKEN))
    completed = last(steps, P.COMPLETED, P.CLOSED)
    if completed:
        return Step("personalisation", Status.DONE, completed.who, completed.at)
    begun, approved = request.state in (P.APPROVED, P.PERSONALISING), last(steps, P.APPROVED)
    return counted("personalisation", good, request.quantity, begun, OPERATORS, approved.at if approved else request.changed_at)


def _delivered(request: PersonalisationRequest, cards: Sequence[Group]) -> list[Step]:
    """Return the steps of handing over: one to an office, two to a buyer whose cards go by its manufacturer."""
    whole = [group for group in cards if group.state not in (CardState.REGISTERED, *BROKEN)]
    total = sum(group.count for group in whole)
    there = sum(group.count for group in whole if group.is_at_buyer)
    made = [group for group in whole if group.state == CardState.PERSONALISED]
    sent = [group for group in whole if group.state == CardState.HANDED_OVER]
    if request.requester_id == request.buyer_id:
        return [_leg("bast", there, total, made, OPERATORS, sent, request.requester.name)]
    at_maker = [group for group in whole if group.state == CardState.RECEIVED and group.holder_id == request.requester_id]
    from_maker = [group for group in sent if group.holder_id == request.requester_id]
    to_maker = [group for group in sent if group.holder_id != request.requester_id]
    passed = there + sum(group.count for group in (*at_maker, *from_maker))
    return [
        _leg("bast_maker", passed, total, made, OPERATORS, to_maker, request.requester.name),
        _leg("bast", there, total, at_maker, request.requester.name, from_maker, request.buyer.name),
    ]


def _leg(name: str, there: int, total: int, ready: Sequence[Group], giver: str, sent: Sequence[Group], receiver: str) -> Step:
    """Return one handing over: cards that are ready wait for the giver, cards that were sent for the receiver."""
    waiting = ready or sent
    return counted(name, there, total, bool(waiting), giver if ready else receiver, min((group.since for group in waiting), default=None))


def _used(cards: Sequence[Group], holder: str) -> list[Step]:
    """Return activation request and manifest of cards that have come to their buyer."""
    whole = [group for group in cards if group.state not in (CardState.REGISTERED, *BROKEN)]
    here, total = [group for group in whole if group.is_at_buyer], sum(group.count for group in whole)
    active = sum(group.count for group in here if group.state == CardState.ACTIVE)
    asked = active + sum(group.asked for group in here if group.state == CardState.RECEIVED)
    idle = [group for group in here if group.state == CardState.RECEIVED and group.asked < group.count]
    return [
        counted("request", asked, total, bool(idle), holder, min((group.since for group in idle), default=None)),
        counted("manifest", active, total, asked > active, holder),
    ]


def _of_cards(ctx: Context, cards: Sequence[Group], of: Any) -> list[Awaited]:
    """Return what cards wait for that were personalised: their BASTs and their activation requests."""
    ready = {
        group.request_id
        for group in cards
        if group.state == CardState.PERSONALISED or (group.state == CardState.RECEIVED and not group.is_at_buyer)
    }
    sent = (
        _handovers_query(of).where(Handover.state == HandoverState.ISSUED) if any(g.state == CardState.HANDED_OVER for g in cards) else None
    )
    idle = any(group.state == CardState.RECEIVED and group.is_at_buyer and group.asked < group.count for group in cards)
    unasked = _unasked_handovers_query(of) if idle else None
    found: list[Awaited] = [Awaited("issue_handover", key) for key in sorted(ready)]
    short = _short_handovers_query(of) if any(g.state in (CardState.HANDED_OVER, *BROKEN) for g in cards) else None
    for task, query in (("receive_handover", sent), ("settle_missing", short), ("request_activation", unasked)):
        if query is not None:
            found += [Awaited(task, key) for key in ctx.session.scalars(query)]
    return found


def _handovers_query(of: Any) -> Select[UUID]:
    query = select(Handover.id).join(HandoverCard, HandoverCard.handover_id == Handover.id).join(Card, Card.id == HandoverCard.card_id)
    return query.where(of).distinct().order_by(Handover.id)


def _short_handovers_query(of: Any) -> Select[UUID]:
    """Return the BASTs from which some of the cards are missing."""
    row = and_(DiscrepancyCard.handover_id == Handover.id, DiscrepancyCard.card_id == Card.id)
    return _handovers_query(of).join(DiscrepancyCard, row).where(DiscrepancyCard.state == DifferenceState.MISSING)


def _unasked_handovers_query(of: Any) -> Select[UUID]:
    """Return the BASTs that brought cards to their holder for which nobody has asked. MOST_UNASKED of the cards are looked at."""
    idle = select(Card.id).where(of, Card.state == CardState.RECEIVED, Card.buyer_id == Card.holder_id, ~is_busy())
    first = Card.id.in_(select(idle.order_by(Card.id).limit(MOST_UNASKED).subquery().c.id))
    return _handovers_query(first).where(Handover.state.in_(RECEIPTS), is_newest_receipt(), Card.holder_id == Handover.receiver_id)


# --- a BAST ----------------------------------------------------------------------------------------------------------


def of_handover(ctx: Context, handover: Handover) -> Way:
    """Return the way of a BAST: issued, received, and then what becomes of its cards."""
    steps = taken(ctx, (HANDOVER.kind, handover.id))
    issued = done("bast_issued", last(steps, HandoverState.ISSUED))
    of = Card.id.in_(select(HandoverCard.card_id).where(HandoverCard.handover_id == handover.id))
    cards = groups(ctx, of) if handover.state != HandoverState.ISSUED else []
    is_back = handover.kind == HandoverKind.RETURN
    if handover.state == HandoverState.ISSUED:
        here = Step("bast_received", Status.CURRENT, handover.receiver.name, handover.issued_at)
        onward = [] if is_back else [Step("request"), Step("manifest")]
        return Way([issued, here, *onward], [Awaited("receive_handover", handover.id)])
    end = last(steps, handover.state)
    if handover.state not in RECEIPTS:
        stopped = Step("bast_received", Status.STOPPED, end.who if end else "", handover.changed_at)
        back = [group for group in cards if group.holder_id == handover.issuer_id]
        return Way([issued, stopped], _of_cards(ctx, back, of), handover.state)
    received, awaited = done("bast_received", end), _of_cards(ctx, cards, of)
    if any(one == Awaited("settle_missing", handover.id) for one in awaited):
        received = replace(received, status=Status.CURRENT, who=handover.issuer.name, name="missing")
    if is_back:
        return Way([issued, received], awaited)
    came = [group for group in cards if group.holder_id != handover.issuer_id]  # what did not come takes no further step of this way
    onward = [_onward(handover, came)] if handover.receiver.kind == OrganisationKind.MANUFACTURER else []
    buyer = "" if onward else handover.receiver.name
    return Way([issued, received, *onward, *_used(came, buyer)], awaited)


def _onward(handover: Handover, cards: Sequence[Group]) -> Step:
    """Return the second BAST, from a manufacturer to the buyer."""
    whole = [group for group in cards if group.state not in BROKEN]
    kept = [group for group in whole if group.holder_id == handover.receiver_id]
    total = sum(group.count for group in whole)
    since = min((group.since for group in kept), default=None)
    return counted("bast", total - sum(group.count for group in kept), total, bool(kept), handover.receiver.name, since)


# --- an activation request -------------------------------------------------------------------------------------------


def of_activation(ctx: Context, request: ActivationRequest) -> Way:
    """Return the way of an activation request: letter, approval, activation with tokens, manifest."""
    steps = taken(ctx, (ACTIVATION_REQUEST.kind, request.id))
    first = letter_and_approval(request, request.organisation.name, steps)
    awaited, until = _decided("activation", request), None
    if request.state == RequestState.APPROVED:
        awaited += [Awaited("activate", request.id), Awaited("reissue_token", request.id)]
        open_tokens = Token.activation_request_id == request.id, Token.state == TokenState.ISSUED
        until = ctx.session.scalar(select(func.min(Token.expires_at)).where(*open_tokens))
    ended = request.state in (RequestState.REJECTED, RequestState.CANCELLED, RequestState.EXPIRED)
    if ended:
        of = Card.id.in_(select(ActivationRequestCard.card_id).where(ActivationRequestCard.activation_request_id == request.id))
        awaited += [Awaited("request_activation", key) for key in ctx.session.scalars(_unasked_handovers_query(of))]
    return Way([*first, _activated(request, first[-1], until, steps)], awaited, request.state if ended else "")


def _activated(request: ActivationRequest, approval: Step, until: datetime | None, steps: Sequence[Taken]) -> Step:
    step = Step("manifest", done=request.redeemed, total=request.machines)
    if request.state == RequestState.COMPLETED:
        end = last(steps, RequestState.COMPLETED)
        return replace(step, status=Status.DONE, at=end.at if end else None)
    if request.state == RequestState.APPROVED:
        return replace(step, status=Status.CURRENT, who=request.organisation.name, at=approval.at, until=until)
    is_over = approval.status is Status.DONE  # approved once, then cancelled or expired
    return replace(step, status=Status.STOPPED, at=request.changed_at) if is_over else step


# --- a destruction ---------------------------------------------------------------------------------------------------


def of_destruction(ctx: Context, found: Destruction) -> Way:
    """Return the way of a destruction: proposed, approved, carried out with a Berita Acara, verified."""
    return Way(destruction_steps(found, taken(ctx, (DESTRUCTION.kind, found.id))), destruction_awaits(found), _end(found))


def destruction_steps(found: Destruction, steps: Sequence[Taken]) -> list[Step]:
    """Return the steps of a destruction."""
    S = DestructionState  # noqa: N806  # as the table reads
    order = [("proposal", S.PROPOSED), ("destruction_approval", S.APPROVED), ("berita_acara", S.EXECUTED), ("verification", S.VERIFIED)]
    holders = {"destruction_approval": APPROVERS, "berita_acara": found.organisation.name, "verification": OPERATORS}
    made: list[Step] = []
    for name, state in order:
        step = last(steps, state)
        if step:
            made.append(done(name, step))
        elif not made or made[-1].status is not Status.DONE:
            made.append(Step(name))
        elif found.state in (S.REJECTED, S.CANCELLED):
            end = last(steps, found.state)
            made.append(Step(name, Status.STOPPED, end.who if end else "", found.changed_at))
        else:
            made.append(Step(name, Status.CURRENT, holders[name], found.changed_at))
    return made


def destruction_awaits(found: Destruction) -> list[Awaited]:
    """Return what a destruction waits for; the cards of one that was rejected or taken back can be proposed again."""
    S = DestructionState  # noqa: N806  # as the table reads
    by_state = {S.PROPOSED: "approve_destruction", S.APPROVED: "record_destruction", S.EXECUTED: "verify_destruction"}
    if found.state in (S.REJECTED, S.CANCELLED):
        return [Awaited("propose_destruction", found.organisation_id, found.cause)]
    return [Awaited(by_state[S(found.state)], found.id)] if S(found.state) in by_state else []


def _end(found: Destruction) -> str:
    return found.state if found.state in (DestructionState.REJECTED, DestructionState.CANCELLED, DestructionState.VERIFIED) else ""
