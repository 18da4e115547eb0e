"""Activation requests: draft, submit, verify, return, approve (tokens), reject, cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, case, exists, or_, select

from config.settings import Settings
from hsm import HSM
from sifilma.activation.models import (
    ACTIVATION_REQUEST,
    READY,
    ActivationApproval,
    ActivationRequest,
    ActivationRequestCard,
    RequestKind,
    Token,
    TokenState,
)
from sifilma.activation.models import RequestState as State
from sifilma.activation.queries import get_request
from sifilma.activation.schemas import ActivationRequestIn
from sifilma.activation.tokens import sealing
from sifilma.activation.tokens import service as tokens
from sifilma.approvals.four_eyes import EDITABLE
from sifilma.approvals.letters import letter_key
from sifilma.approvals.service import NOTHING, Submissions, require_note
from sifilma.cards.models import Card
from sifilma.cards.service import by_uids
from sifilma.documents.models import Document, DocumentKind
from sifilma.documents.service import Upload, keep_pdf
from sifilma.documents.store import FileStore
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Forbidden, Invalid
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import Text, say
from sifilma.oversight.service import require_right
from sifilma.personalisation.models import PersonalisationRequest

WAY = Submissions(ACTIVATION_REQUEST, ActivationApproval, "activation", "organisation_id")
OPEN = (State.DRAFT, State.SUBMITTED, State.RETURNED, State.APPROVED)


def draft(ctx: Context, store: FileStore, data: ActivationRequestIn, letter: Upload | None) -> ActivationRequest:
    """Save a draft with its letter. Invalid names what is missing; nothing is saved then."""
    if letter is None:
        raise Invalid.field("letter", "The letter (PDF) is missing.")
    request = ActivationRequest(id=uuid7(), organisation_id=ctx.actor.organisation_id, redeemed=0, created_at=ctx.now)
    _fill(ctx, store, request, data, letter)
    act = WAY.act(ctx, request, "draft", kind=request.kind, machines=request.machines)
    ACTIVATION_REQUEST.born(request, State.DRAFT, act)
    ctx.session.add(request)
    ctx.session.flush()
    ctx.session.refresh(request)
    return request


def edit(ctx: Context, store: FileStore, request_id: UUID, data: ActivationRequestIn, letter: Upload | None) -> ActivationRequest:
    """Change a draft or a returned request; a letter that does not come again stays."""
    request = own(ctx, request_id)
    if request.state not in EDITABLE:
        raise Conflict("What is submitted does not change.", state=request.state)
    _fill(ctx, store, request, data, letter)
    WAY.act(ctx, request, "edit", machines=request.machines)
    ctx.session.flush()
    ctx.session.refresh(request)
    return request


def own(ctx: Context, request_id: UUID) -> ActivationRequest:
    """A request of the actor's organisation."""
    request = get_request(ctx, request_id)
    if request.organisation_id != ctx.actor.organisation_id:
        raise Forbidden("Only the organisation that made a request changes it.", type="not-requester")
    return request


def _fill(ctx: Context, store: FileStore, request: ActivationRequest, data: ActivationRequestIn, letter: Upload | None) -> None:
    count = len(data.cards)
    if data.machines != count:
        told = say(
            "%(machines)s machines, but %(cards)s cards: each machine takes one card.", machines=data.machines, cards=len(data.cards)
        )
        raise Invalid.field("machines", told)
    with ctx.session.no_autoflush:
        cards = _cards(ctx, request, data)
        _require_new_letter(ctx, request, data)
        if data.personalisation_request:
            _require_own_batch(ctx, data.personalisation_request)
    request.kind, request.function = data.kind, cards[0].function
    request.required_approvals = 2 if request.function == "RW" else 1
    request.machines, request.notes = data.machines, data.notes
    request.personalisation_request_id = data.personalisation_request
    request.letter_number, request.letter_key = data.letter_number, letter_key(data.letter_number)
    request.letter_date, request.subject = data.letter_date, data.subject
    if letter:
        request.letter_document_id = keep_pdf(ctx, store, letter, DocumentKind.LETTER, "letter").id
    request.cards.clear()
    if request in ctx.session:
        ctx.session.flush()
    request.cards.extend(ActivationRequestCard(card_id=card.id, position=position) for position, card in enumerate(cards, start=1))


def _cards(ctx: Context, request: ActivationRequest, data: ActivationRequestIn) -> list[Card]:
    """The named cards: held by the organisation, in the state the kind needs, of one function, in no other open request."""
    ready = READY[RequestKind(data.kind)]
    cards = list(by_uids(ctx, list(data.cards), Card.holder_id == ctx.actor.organisation_id, Card.state == ready).values())
    if len({card.function for card in cards}) > 1:
        raise Invalid.field("cards", "One request is for R or for RW cards, not for both.")
    named = Card.id.in_([card.id for card in cards])
    ctx.session.execute(select(Card.id).where(named).order_by(Card.id).with_for_update())  # two drafts at once would not see each other
    taken = sorted(ctx.session.scalars(select(Card.uid).where(named, Card.id.in_(busy_cards(request.id)))))
    if taken:
        errors = [{"field": "cards", "message": say("%(uid)s is in another open request.", uid=uid)} for uid in taken]
        raise Invalid("Some cards are in another open request.", errors=errors)
    return cards


def busy_cards(besides: UUID | None) -> Select[UUID]:
    """The cards of open requests, `besides` aside, whose token was not used yet."""
    named = ActivationRequestCard.card_id
    used = exists().where(Token.activation_request_id == ActivationRequest.id, Token.card_id == named, Token.state == TokenState.REDEEMED)
    query = select(named).join(ActivationRequest, ActivationRequest.id == ActivationRequestCard.activation_request_id)
    query = query.where(ActivationRequest.state.in_(OPEN), ~used)
    return query.where(ActivationRequest.id != besides) if besides else query


def _require_new_letter(ctx: Context, request: ActivationRequest, data: ActivationRequestIn) -> None:
    same = select(ActivationRequest.id).where(
        ActivationRequest.organisation_id == ctx.actor.organisation_id,
        ActivationRequest.letter_key == letter_key(data.letter_number),
        ActivationRequest.letter_date == data.letter_date,
        ActivationRequest.id != request.id,
        ActivationRequest.state.not_in(("rejected", "cancelled")),
    )
    if ctx.session.scalar(same):
        raise Conflict("There is a request with this letter (number and date) already.", type="letter-known")


def _require_own_batch(ctx: Context, request_id: UUID) -> None:
    found = ctx.session.get(PersonalisationRequest, request_id)
    if found is None or found.buyer_id != ctx.actor.organisation_id:
        raise Invalid.field("personalisation_request", "Your organisation has no such personalisation request.")


def content(ctx: Context, request: ActivationRequest) -> dict[str, Any]:
    """What is submitted and approved: every field, the letter by its SHA-256, the cards one by one."""
    ids = [named.card_id for named in request.cards]
    uids = dict(ctx.session.execute(select(Card.id, Card.uid).where(Card.id.in_(ids))).all())
    return {
        "id": str(request.id),
        "organisation": str(request.organisation_id),
        "kind": request.kind,
        "function": request.function,
        "machines": request.machines,
        "letter": [request.letter_number, request.letter_date.isoformat(), request.subject],
        "letter_file": ctx.session.scalar(select(Document.sha256).where(Document.id == request.letter_document_id)),
        "personalisation_request": str(request.personalisation_request_id or ""),
        "cards": [uids[card_id] for card_id in ids],
        "notes": request.notes,
    }


def submit(ctx: Context, request_id: UUID, note: str = "") -> ActivationRequest:
    """Submit: from here on nothing of it changes, unless it is returned."""
    request = own(ctx, request_id)
    WAY.submit(ctx, request, content(ctx, request), note)
    return request


def verify(ctx: Context, request_id: UUID, note: str = "") -> ActivationRequest:
    """The operator has looked at it; the optional step before approval."""
    request = get_request(ctx, request_id, Operation.ACTIVATION_VERIFY)
    WAY.verify(ctx, request, note)
    return request


def send_back(ctx: Context, request_id: UUID, note: str, fields: Mapping[str, str] = NOTHING) -> ActivationRequest:
    """Return for repair, with notes that say what to mend: on the whole, or on fields."""
    request = get_request(ctx, request_id, Operation.ACTIVATION_RETURN)
    WAY.send_back(ctx, request, note, fields)
    return request


def reject(ctx: Context, request_id: UUID, note: str) -> ActivationRequest:
    """Reject for good, with a note."""
    request = get_request(ctx, request_id, Operation.ACTIVATION_APPROVE)
    WAY.move(ctx, request, State.REJECTED, "reject", require_note(note))
    return request


def cancel(ctx: Context, request_id: UUID, note: str = "") -> ActivationRequest:
    """The requester withdraws it; open tokens are cancelled with it."""
    request = own(ctx, request_id)
    act = WAY.move(ctx, request, State.CANCELLED, "cancel", note)
    tokens.cancel_open(ctx.session, act, say("the request was cancelled"), Token.activation_request_id == request.id)
    return request


def approve(ctx: Context, settings: Settings, hsm: HSM, request_id: UUID, digest: str, note: str = "") -> ActivationRequest:
    """One approver's yes to exactly this digest. With the last one needed each card gets its token and its status index.

    The tokens are made in the HSM first, with no transaction open; the approval and the tokens are one commit.
    """
    request = get_request(ctx, request_id, Operation.ACTIVATION_APPROVE)
    _require_approvable(ctx, request, digest)
    is_last = WAY.missing(request) <= 1
    fresh = _make_tokens(ctx, hsm, request) if is_last else []
    ctx.uow.begin_write()
    request = get_request(ctx, request_id, Operation.ACTIVATION_APPROVE)
    _require_approvable(ctx, request, digest)
    act = WAY.approve(ctx, request, digest, note)
    if request.state == State.APPROVED:
        if not is_last:  # another approver was faster than our reading
            raise Conflict("Somebody else approved this a moment ago. Look again.")
        tokens.store(ctx, settings, request, fresh, act)
    return request


def _require_approvable(ctx: Context, request: ActivationRequest, digest: str) -> None:
    WAY.require_approvable(ctx, request, digest)
    require_right(ctx, request.organisation_id, request.organisation.kind)


def cards_changed(ctx: Context, requests: Sequence[ActivationRequest]) -> dict[UUID, Text]:
    """By request, in words: which cards left the needed state or the organisation's hands since it was made. One statement."""
    needed = case({str(kind): str(state) for kind, state in READY.items()}, value=ActivationRequest.kind)
    query = select(ActivationRequestCard.activation_request_id, Card.uid).join(Card, Card.id == ActivationRequestCard.card_id)
    query = query.join(ActivationRequest, ActivationRequest.id == ActivationRequestCard.activation_request_id)
    query = query.where(ActivationRequest.id.in_([request.id for request in requests]))
    query = query.where(or_(Card.state != needed, Card.holder_id != ActivationRequest.organisation_id))
    changed: dict[UUID, list[str]] = {}
    for request_id, uid in ctx.session.execute(query.order_by(ActivationRequestCard.position)):
        changed.setdefault(request_id, []).append(uid)
    return {request.id: _changed(request, changed[request.id]) for request in requests if request.id in changed}


def _changed(request: ActivationRequest, uids: Sequence[str]) -> Text:
    ready = READY[RequestKind(request.kind)]
    return say("These cards are no longer %(state)s: %(uids)s. Return the request.", state=ready, uids=", ".join(uids[:5]))


def _make_tokens(ctx: Context, hsm: HSM, request: ActivationRequest) -> list[tokens.Fresh]:
    """Cards that left the needed state since the request was made are named, not skipped."""
    changed = cards_changed(ctx, [request])
    if changed:
        raise Conflict(changed[request.id], type="cards-changed")
    query = select(Card.id, Card.uid).join(ActivationRequestCard, ActivationRequestCard.card_id == Card.id)
    query = query.where(ActivationRequestCard.activation_request_id == request.id).order_by(ActivationRequestCard.position)
    rows = ctx.session.execute(query).all()
    data_key = sealing.ensure_key(ctx, hsm, request.organisation_id)
    return tokens.make(hsm, request.id, [(row.id, row.uid) for row in rows], data_key)
