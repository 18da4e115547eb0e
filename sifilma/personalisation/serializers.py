"""Convert personalisation requests to the schemas of the API and of the pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
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
from sifilma.personalisation.results import OPEN
from sifilma.personalisation.schemas import ApprovalOut, ClosingOut, PersonalisationBrief, PersonalisationOut
from sifilma.personalisation.service import REQUESTS, WAY
from sifilma.web.links import steps

SHOWN = 100
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
    counts = _counted(ctx, request)
    shown = full(ctx, request, with_history=False, most=SHOWN, counts=counts)  # the time line has the history
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
        done=counts.made,
        failed=counts.failed,
        cards=counts.cards,
        replaced=counts.replaced,
        intake=ctx.session.get(Job, shown.batch_job) if shown.batch_job else None,
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


class Counts(NamedTuple):
    """How many cards a request has: those personalised and failed, all, and those that it replaces."""

    made: int
    failed: int
    cards: int
    replaced: int


def _counted(ctx: Context, request: PersonalisationRequest) -> Counts:
    """Count in one statement. The personalised cards are numbered; those that failed have no place."""
    result = PersonalisationResult
    of_results = select(func.coalesce(func.max(result.place), 0), func.count().filter(result.place.is_(None)))
    made = of_results.where(result.personalisation_request_id == request.id).subquery()
    cards, replaced = (
        select(func.count()).where(model.personalisation_request_id == request.id).scalar_subquery() for model in (Card, ReplacedCard)
    )
    return Counts._make(ctx.session.execute(select(*made.c, cards, replaced)).one())


def full(
    ctx: Context,
    request: PersonalisationRequest,
    *,
    with_history: bool = True,
    most: int | None = None,
    counts: Counts | None = None,
) -> PersonalisationOut:
    """Return a request with its files, its batch, its cards and its steps; of rows and cards the first `most`, if it is given."""
    files = {
        "letter": request.letter_document_id,
        "purchase_order": request.purchase_order_document_id,
        "batch": request.batch_document_id,
    }
    counts = counts or _counted(ctx, request)
    job = intake.find(ctx, request) if request.state in EDITABLE else None
    return PersonalisationOut(
        **_common(request),
        notes=request.notes,
        purchase_order_number=request.purchase_order_number,
        files=sha256_of(ctx, files),
        batch=_batch(ctx, request, most),
        batch_job=job.id if job else None,
        replaces=_replaced(ctx, request, most) if counts.replaced else [],
        cards=_cards(ctx, request, most) if counts.cards else [],
        made=counts.made,
        remaining=request.quantity - counts.made if request.state in OPEN else 0,
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
    rows = (row for some in (saved_rows(ctx, request.id, most) if most else saved_rows(ctx, request.id)) for row in some)
    names = ("hardware_number", "pcid", "sam_uid", "sam_perso")
    return [{"row": row.row_no} | {name: getattr(row, name) for name in names} for row in islice(rows, most)]


def _cards(ctx: Context, request: PersonalisationRequest, most: int | None) -> list[dict[str, Any]]:
    query = select(Card.uid, Card.state, Card.kcv, Unit.hardware_number, PersonalisationResult.outcome)
    query = query.outerjoin(Unit, Unit.id == Card.unit_id).outerjoin(PersonalisationResult, PersonalisationResult.card_id == Card.id)
    query = query.where(Card.personalisation_request_id == request.id).order_by(Card.id).limit(most)
    names = ("uid", "state", "kcv", "unit", "outcome")
    return [dict(zip(names, row, strict=True)) for row in ctx.session.execute(query)]


def _replaced(ctx: Context, request: PersonalisationRequest, most: int | None) -> list[str]:
    query = select(Card.uid).join(ReplacedCard, ReplacedCard.card_id == Card.id)
    query = query.where(ReplacedCard.personalisation_request_id == request.id).order_by(ReplacedCard.position)
    return list(ctx.session.scalars(query.limit(most)))
