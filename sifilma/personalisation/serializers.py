"""Convert personalisation requests to the schemas of the API and of the pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from sifilma.accounts.serializers import party
from sifilma.approvals.four_eyes import EDITABLE, Objection
from sifilma.approvals.models import Approval, ProposalState
from sifilma.approvals.service import Given, given, offered
from sifilma.cards.models import Card, Unit
from sifilma.cards.serializers import TimelineStep, history_out, timeline
from sifilma.documents.service import sha256_of
from sifilma.identity.models import Person, User
from sifilma.identity.permissions import Operation, grants
from sifilma.jobs.models import Job
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Context
from sifilma.personalisation.batch import saved_rows
from sifilma.personalisation.intake import service as intake
from sifilma.personalisation.models import PERSONALISATION, PersonalisationRequest, PersonalisationResult, ReplacedCard
from sifilma.personalisation.models import PersonalisationState as State
from sifilma.personalisation.proposals import CLOSINGS, find_closing, may_propose
from sifilma.personalisation.queries import request_warnings
from sifilma.personalisation.results import OPEN, personalised
from sifilma.personalisation.schemas import ApprovalOut, ClosingOut, PersonalisationBrief, PersonalisationOut
from sifilma.personalisation.service import REQUESTS, WAY
from sifilma.web.links import steps

SHOWN = 500
"""Rows and cards of a request that its page shows. The others are in the file, and in the list of cards."""
VERBS = {
    "submit": State.SUBMITTED,
    "return": State.RETURNED,
    "approve": State.APPROVED,
    "reject": State.REJECTED,
    "cancel": State.CANCELLED,
    "results": State.PERSONALISING,
    "close": State.CLOSED,
}


@dataclass(frozen=True)
class RequestPage:
    """A request as its page shows it. `can` is what the actor may decide; `objection` says why they cannot approve it, or is None.

    `own`: the actor's organisation made it. `given` are the approvals of the present digest; `done` and `failed` count cards. Of its
    batch, its cards and those that it replaces the first SHOWN are there; `cards` and `replaced` count all of them. `intake` is the work
    on the batch of a draft, if it has many rows.
    `closes` is what the actor may do to close it with a remainder (`propose`, `decide` or nothing).
    """

    request: PersonalisationOut
    own: bool
    can: frozenset[str]
    objection: Objection | None
    submitter: str
    verified_at: datetime | None
    given: list[Given]
    steps: list[TimelineStep]
    done: int
    failed: int
    cards: int
    replaced: int
    intake: Job | None
    closes: str


def request_page(ctx: Context, request: PersonalisationRequest) -> RequestPage:
    """Return the page of a request."""
    shown = full(ctx, request, with_history=False, most=SHOWN)  # the time line has the history
    names = _names(ctx, [request.submitted_by_user])
    return RequestPage(
        request=shown,
        own=request.requester_id == ctx.actor.organisation_id,
        can=offered(ctx, REQUESTS, request),
        objection=WAY.objection(ctx, request),
        submitter=names.get(request.submitted_by_user, ""),
        verified_at=request.verified_at,
        given=given(ctx, request),
        steps=timeline(ctx, PERSONALISATION.kind, request.id),
        done=shown.made,
        failed=_failed(ctx, request),
        cards=_count(ctx, Card, request),
        replaced=_count(ctx, ReplacedCard, request),
        intake=intake.find(ctx, request) if request.state in EDITABLE else None,
        closes=_closes(ctx, request),
    )


def _closes(ctx: Context, request: PersonalisationRequest) -> str:
    """Return what the actor may do to close a request with a remainder: `propose`, `decide`, or nothing."""
    if request.state not in OPEN or not grants(ctx.actor, Operation.PERSONALISATION_CLOSE):
        return ""
    found = find_closing(ctx, request)
    if found is None or found.state != ProposalState.PROPOSED:
        return "propose" if may_propose(ctx, request) else ""
    return "decide" if Role.APPROVER in ctx.actor.roles and not CLOSINGS.is_own(ctx, found) else ""


def _names(ctx: Context, users: list[UUID | None]) -> dict[UUID | None, str]:
    query = select(User.id, Person.name).join(Person, Person.id == User.person_id).where(User.id.in_([user for user in users if user]))
    names: dict[UUID | None, str] = dict(ctx.session.execute(query).all())
    return names


def approval_out(approval: Approval) -> ApprovalOut:
    """Return one approval."""
    return ApprovalOut(user_id=approval.user_id, digest=approval.digest, note=approval.note, at=approval.at)


def brief(request: PersonalisationRequest) -> PersonalisationBrief:
    """Return a request for a list."""
    return PersonalisationBrief.model_validate(_common(request))


def full(ctx: Context, request: PersonalisationRequest, *, with_history: bool = True, most: int | None = None) -> PersonalisationOut:
    """Return a request with its files, its batch, its cards and its steps; of rows and cards the first `most`, if it is given."""
    files = {
        "letter": request.letter_document_id,
        "purchase_order": request.purchase_order_document_id,
        "batch": request.batch_document_id,
    }
    made = personalised(ctx, request)
    replaced = select(Card.uid).join(ReplacedCard, ReplacedCard.card_id == Card.id)
    replaced = replaced.where(ReplacedCard.personalisation_request_id == request.id).order_by(ReplacedCard.position).limit(most)
    return PersonalisationOut(
        **_common(request),
        notes=request.notes,
        purchase_order_number=request.purchase_order_number,
        files=sha256_of(ctx, files),
        batch=_batch(ctx, request, most),
        batch_job=job.id if (job := intake.find(ctx, request)) else None,
        replaces=list(ctx.session.scalars(replaced)),
        cards=_cards(ctx, request, most),
        made=made,
        remaining=request.quantity - made if request.state in OPEN else 0,
        closing=_closing(ctx, request),
        history=history_out(ctx, PERSONALISATION.kind, request.id) if with_history else [],
        warnings=list(dict.fromkeys((*request_warnings(ctx, request), *ctx.warnings))),
    )


def _common(request: PersonalisationRequest) -> dict[str, Any]:
    return {
        "id": request.id,
        "state": request.state,
        "requester": party(request.requester),
        "buyer": party(request.buyer),
        "function": request.function,
        "quantity": request.quantity,
        "letter_number": request.letter_number,
        "letter_date": request.letter_date,
        "subject": request.subject,
        "digest": request.digest,
        "approvals": [approval_out(approval) for approval in request.approvals if approval.digest == request.digest],
        "required_approvals": request.required_approvals,
        "verified": request.verified_at is not None,
        "created_at": request.created_at,
        "submitted_at": request.submitted_at,
        "links": steps("personalisation-requests", request.id, PERSONALISATION, request.state, VERBS),
    }


def _closing(ctx: Context, request: PersonalisationRequest) -> ClosingOut | None:
    found = find_closing(ctx, request) if request.state in (*OPEN, State.CLOSED, State.COMPLETED) else None
    if found is None:
        return None
    return ClosingOut(state=found.state, reason=found.reason, proposed_at=found.proposed_at, remainder=found.remainder)


def _batch(ctx: Context, request: PersonalisationRequest, most: int | None) -> list[dict[str, Any]]:
    if request.batch_document_id is None:
        return []
    rows = (row for some in saved_rows(ctx, request.id) for row in some)
    names = ("hardware_number", "pcid", "sam_uid", "sam_perso")
    return [{"row": row.row_no} | {name: getattr(row, name) for name in names} for row in islice(rows, most)]


def _cards(ctx: Context, request: PersonalisationRequest, most: int | None) -> list[dict[str, Any]]:
    query = select(Card.uid, Card.state, Card.kcv, Unit.hardware_number, PersonalisationResult.outcome)
    query = query.outerjoin(Unit, Unit.id == Card.unit_id).outerjoin(PersonalisationResult, PersonalisationResult.card_id == Card.id)
    query = query.where(Card.personalisation_request_id == request.id).order_by(Card.id).limit(most)
    names = ("uid", "state", "kcv", "unit", "outcome")
    return [dict(zip(names, row, strict=True)) for row in ctx.session.execute(query)]


def _failed(ctx: Context, request: PersonalisationRequest) -> int:
    """Return how many cards failed, as they are counted by their places: those that have none."""
    result = PersonalisationResult
    return ctx.session.scalar(select(func.count()).where(result.personalisation_request_id == request.id, result.place.is_(None))) or 0


def _count(ctx: Context, model: type[Card | ReplacedCard], request: PersonalisationRequest) -> int:
    return ctx.session.scalar(select(func.count()).where(model.personalisation_request_id == request.id)) or 0
