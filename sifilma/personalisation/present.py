"""Personalisation requests as the API shows them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select

from sifilma.accounts.present import party
from sifilma.cards.models import Card, Unit
from sifilma.cards.present import history_out
from sifilma.documents.service import sha256_of
from sifilma.kernel.context import Context
from sifilma.kernel.four_eyes import Approval
from sifilma.kernel.letters import number_warning
from sifilma.personalisation.models import PERSONALISATION, PersonalisationRequest
from sifilma.personalisation.models import PersonalisationState as State
from sifilma.personalisation.schemas import ApprovalOut, PersonalisationBrief, PersonalisationOut
from sifilma.web.links import steps

VERBS = {
    "submit": State.SUBMITTED, "return": State.RETURNED, "approve": State.APPROVED, "reject": State.REJECTED, "cancel": State.CANCELLED,
    "results": State.PERSONALISING,
}  # fmt: skip


def approval_out(approval: Approval) -> ApprovalOut:
    """One approval."""
    return ApprovalOut(user_id=approval.user_id, digest=approval.digest, note=approval.note, at=approval.at)


def brief(request: PersonalisationRequest) -> PersonalisationBrief:
    """A request in a list."""
    return PersonalisationBrief.model_validate(_common(request))


def full(ctx: Context, request: PersonalisationRequest) -> PersonalisationOut:
    """A request with all it holds."""
    files = {
        "letter": request.letter_document_id,
        "purchase_order": request.purchase_order_document_id,
        "batch": request.batch_document_id,
    }
    warning = number_warning(request.letter_number)
    return PersonalisationOut(
        **_common(request),
        notes=request.notes,
        purchase_order_number=request.purchase_order_number,
        files=sha256_of(ctx, files),
        batch=_batch(ctx, request),
        cards=_cards(ctx, request),
        history=history_out(ctx, PERSONALISATION.kind, request.id),
        warnings=[warning] if warning else [],
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
        "links": steps("personalisation-requests", request.id, PERSONALISATION, request.state, VERBS),
    }


def _batch(ctx: Context, request: PersonalisationRequest) -> list[dict[str, Any]]:
    query = select(Unit.id, Unit.hardware_number).where(Unit.id.in_([row.unit_id for row in request.rows]))
    numbers: dict[UUID, str] = dict(ctx.session.execute(query).all())
    return [
        {"row": row.row_no, "hardware_number": numbers[row.unit_id], "pcid": row.pcid, "sam_uid": row.sam_uid, "sam_perso": row.sam_perso}
        for row in request.rows
    ]


def _cards(ctx: Context, request: PersonalisationRequest) -> list[dict[str, Any]]:
    query = select(Card.uid, Card.state, Card.kcv).where(Card.personalisation_request_id == request.id).order_by(Card.id)
    return [{"uid": uid, "state": state, "kcv": kcv} for uid, state, kcv in ctx.session.execute(query)]
