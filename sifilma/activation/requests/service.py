"""Activation requests: draft, edit and approve. `REQUESTS` has submit, verify, return, reject and cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select

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
from sifilma.activation.requests import rules
from sifilma.activation.requests.rules import Moves
from sifilma.activation.schemas import ActivationRequestIn
from sifilma.activation.suspensions.queries import is_ready
from sifilma.activation.tokens import sealing
from sifilma.activation.tokens import service as tokens
from sifilma.approvals.four_eyes import EDITABLE
from sifilma.approvals.letters import LETTER_KNOWN, letter_faults, letter_key, refuse_letter
from sifilma.approvals.service import Operations, Requests, Submissions
from sifilma.cards.models import Card
from sifilma.cards.service import by_uids
from sifilma.documents.models import Document, DocumentKind
from sifilma.documents.service import Upload, keep_pdf
from sifilma.documents.uploads import inspect_pdf
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import within_limit
from sifilma.kernel import deadline
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import among
from sifilma.kernel.errors import Conflict, Faults, Invalid
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import Text, say
from sifilma.oversight.service import require_right
from sifilma.personalisation.models import PersonalisationRequest

WAY = Submissions(ACTIVATION_REQUEST, ActivationRequest, ActivationApproval, "activation", "organisation_id")
OPEN = (State.DRAFT, State.SUBMITTED, State.RETURNED, State.APPROVED)


def draft(ctx: Context, store: FileStore, data: ActivationRequestIn, letter: Upload | None) -> ActivationRequest:
    """Save a draft with its letter.

    Raise Invalid that names what is missing or wrong, and Conflict (`letter-known`) if another request has this letter.
    """
    deadline.allow_for(data.machines)
    request = _blank(ctx)
    _fill(ctx, store, request, data, letter)
    act = WAY.act(ctx, request, "draft", kind=request.kind, machines=request.machines)
    ACTIVATION_REQUEST.born(request, State.DRAFT, act)
    ctx.session.add(request)
    ctx.session.flush()
    ctx.session.refresh(request)
    return request


def _blank(ctx: Context) -> ActivationRequest:
    return ActivationRequest(id=uuid7(), organisation_id=ctx.actor.organisation_id, redeemed=0, created_at=ctx.now)


def edit(ctx: Context, store: FileStore, request_id: UUID, data: ActivationRequestIn, letter: Upload | None) -> ActivationRequest:
    """Change a draft or a returned request. Without a new letter the stored one stays.

    Raise as `draft` does, and Conflict in another state.
    """
    request = REQUESTS.get_own(ctx, request_id)
    if request.state not in EDITABLE:
        raise Conflict("What is submitted does not change.", state=request.state)
    deadline.allow_for(data.machines)
    _fill(ctx, store, request, data, letter)
    WAY.act(ctx, request, "edit", machines=request.machines)
    ctx.session.flush()
    ctx.session.refresh(request)
    return request


def faults(ctx: Context, given: Mapping[str, Any], letter: Upload | None, request: ActivationRequest | None = None) -> Faults:
    """Return what is wrong with a request of which not all fields could be read: with those that could, and with its letter.

    `request` is the one that is edited.
    """
    found, _, _, known = _check(ctx, request or _blank(ctx), given, letter)
    if known:
        found.add("letter_number", LETTER_KNOWN)
    with found.taking():
        if letter:
            inspect_pdf(letter.data, "letter")
    return found


Checked: TypeAlias = tuple[Faults, list[Card], Moves, bool]


def _check(ctx: Context, request: ActivationRequest, given: Mapping[str, Any], letter: Upload | None) -> Checked:
    """Check the values that are given. Nothing changes.

    Return what is wrong, the cards, which units they move to, and whether an open request has the letter.
    """
    found = Faults()
    if letter is None and request.letter_document_id is None:
        found.add("letter", say("The letter (PDF) is missing."))
    machines, cards = given.get("machines"), given.get("cards")
    if machines is not None and cards is not None and machines != len(cards):
        told = say("%(machines)s machines, but %(cards)s cards: each machine takes one card.", machines=machines, cards=len(cards))
        found.add("machines", told)
    found += letter_faults(ctx.now, given)
    chosen: list[Card] = []
    moves: Moves = {}
    with ctx.session.no_autoflush:
        with found.taking():
            if cards is not None and given.get("kind"):
                chosen = _cards(ctx, request, RequestKind(given["kind"]), list(cards))
                moves = rules.check(ctx, request, given["kind"], given.get("replacements") or [], chosen)
        known = _is_letter_known(ctx, request, given)
        with found.taking():
            if given.get("personalisation_request"):
                _require_own_batch(ctx, given["personalisation_request"])
    return found, chosen, moves, known


def _fill(ctx: Context, store: FileStore, request: ActivationRequest, data: ActivationRequestIn, letter: Upload | None) -> None:
    found, cards, moves, known = _check(ctx, request, dict(data), letter)
    document_id = request.letter_document_id
    with ctx.session.no_autoflush, found.taking():
        document_id = keep_pdf(ctx, store, letter, DocumentKind.LETTER, "letter").id if letter else document_id
    refuse_letter(found, known)
    request.kind, request.function = data.kind, cards[0].function
    request.required_approvals = 2 if request.function == "RW" else 1
    request.machines, request.notes = data.machines, data.notes
    request.personalisation_request_id = data.personalisation_request
    request.letter_number, request.letter_key = data.letter_number, letter_key(data.letter_number)
    request.letter_date, request.subject, request.letter_document_id = data.letter_date, data.subject, document_id
    request.cards.clear()
    # The old rows are deleted first: the new ones may have the same keys.
    if request in ctx.session:
        ctx.session.flush()
    request.cards.extend(
        ActivationRequestCard(card_id=card.id, position=position, **moves.get(card.id, {})) for position, card in enumerate(cards, start=1)
    )


def _cards(ctx: Context, request: ActivationRequest, kind: RequestKind, uids: list[str]) -> list[Card]:
    """Return the named cards.

    Raise Invalid unless the organisation holds them all, in the state the kind needs, of one function, and in no other open request.
    """
    mine = (Card.holder_id == ctx.actor.organisation_id, within_limit(ctx.actor, Card.unit_id))
    cards = list(by_uids(ctx, uids, *mine, is_ready(kind)).values())
    if len({card.function for card in cards}) > 1:
        raise Invalid.field("cards", "One request is for R or for RW cards, not for both.")
    named = among(ctx.session, Card.id, [card.id for card in cards])
    # Without these locks two concurrent drafts would not see each other. The order of ids keeps them from a deadlock.
    ctx.session.execute(select(Card.id).where(named).order_by(Card.id).with_for_update())
    taken = set(ctx.session.scalars(select(Card.uid).where(named, Card.id.in_(busy_cards_query(request.id)))))
    found = Faults()
    for number, uid in enumerate(uids, start=1):
        if uid in taken:
            found.add("cards", say("%(uid)s is in another open request.", uid=uid), item=number)
    found.refuse("Some cards are in another open request.")
    return cards


def busy_cards_query(besides: UUID | None = None) -> Select[UUID]:
    """Return a query of the cards of open requests (except `besides`) whose token has not been used."""
    named = ActivationRequestCard.card_id
    used = exists().where(Token.activation_request_id == ActivationRequest.id, Token.card_id == named, Token.state == TokenState.REDEEMED)
    query = select(named).join(ActivationRequest, ActivationRequest.id == ActivationRequestCard.activation_request_id)
    query = query.where(ActivationRequest.state.in_(OPEN), ~used)
    return query.where(ActivationRequest.id != besides) if besides else query


def is_busy(besides: UUID | None = None, card: Any = Card.id) -> ColumnElement[bool]:
    """Return the condition that a card is in an open request (except `besides`), asked of each card that a query finds by other conditions.

    For the few cards of one organisation that costs less than to read those of all open requests. `card` is the column of its id.
    """
    named = busy_cards_query(besides).where(ActivationRequestCard.card_id == card)
    return named.offset(0).correlate(card.table).exists()  # PostgreSQL would join it otherwise, with all cards of all requests


def _is_letter_known(ctx: Context, request: ActivationRequest, given: Mapping[str, Any]) -> bool:
    number, day = given.get("letter_number"), given.get("letter_date")
    if not number or day is None:
        return False
    same = select(ActivationRequest.id).where(
        ActivationRequest.organisation_id == ctx.actor.organisation_id,
        ActivationRequest.letter_key == letter_key(number),
        ActivationRequest.letter_date == day,
        ActivationRequest.id != request.id,
        ActivationRequest.state.not_in(("rejected", "cancelled")),
    )
    return ctx.session.scalar(same) is not None


def _require_own_batch(ctx: Context, request_id: UUID) -> None:
    found = ctx.session.get(PersonalisationRequest, request_id)
    if found is None or found.buyer_id != ctx.actor.organisation_id:
        raise Invalid.field("personalisation_request", "Your organisation has no such personalisation request.")


def content(ctx: Context, request: ActivationRequest) -> dict[str, Any]:
    """Return the content of a request, of which its digest is made: every field, the letter by its SHA-256, the cards by UID.

    Of a replacement also the units, by id: their numbers may be corrected.
    """
    deadline.allow_for(request.machines)
    part = ActivationRequestCard
    query = select(Card.uid, part.former_unit_id, part.unit_id, part.reason).join(Card, Card.id == part.card_id)
    cards = ctx.session.execute(query.where(part.activation_request_id == request.id).order_by(part.position)).all()
    moved = [[one.uid, str(one.former_unit_id), str(one.unit_id), one.reason] for one in cards if one.unit_id is not None]
    return ({"replacements": moved} if moved else {}) | {
        "id": str(request.id),
        "organisation": str(request.organisation_id),
        "kind": request.kind,
        "function": request.function,
        "machines": request.machines,
        "letter": [request.letter_number, request.letter_date.isoformat(), request.subject],
        "letter_file": ctx.session.scalar(select(Document.sha256).where(Document.id == request.letter_document_id)),
        "personalisation_request": str(request.personalisation_request_id or ""),
        "cards": [one.uid for one in cards],
        "notes": request.notes,
    }


def _require_right(ctx: Context, request: ActivationRequest) -> None:
    require_right(ctx, request.organisation_id, request.organisation.kind)


def _cancel_tokens(ctx: Context, request: ActivationRequest, act: Act) -> None:
    tokens.cancel_open(ctx.session, act, say("the request was cancelled"), Token.activation_request_id == request.id)


REQUESTS = Requests(
    WAY,
    Operations(
        view=Operation.ACTIVATION_VIEW,
        verify=Operation.ACTIVATION_VERIFY,
        send_back=Operation.ACTIVATION_RETURN,
        approve=Operation.ACTIVATION_APPROVE,
    ),
    get_request,
    content,
    _require_right,
    _cancel_tokens,
)


def approve(ctx: Context, settings: Settings, hsm: HSM, request_id: UUID, digest: str, note: str = "") -> ActivationRequest:
    """Approve exactly this digest. With the last approval that is needed, each card gets its token and its status index.

    The tokens are made in the HSM first, with no transaction open; approval and tokens are one commit. Those of more than
    `tokens.AT_ONCE` cards are made by the worker: the approval stays one short act. Raise NotFound outside the scope, Conflict or Forbidden
    as `Submissions.approve` does, Conflict (`cards-changed`) if a card is not ready any more, and ClockNotTrusted.
    """
    ctx.require_trusted_clock()
    seen = get_request(ctx, request_id, Operation.ACTIVATION_APPROVE)
    WAY.require_approvable(ctx, seen, digest)
    _require_right(ctx, seen)
    is_last = WAY.missing(seen) <= 1
    is_large = seen.machines > tokens.AT_ONCE
    if is_last:
        _require_unchanged(ctx, seen)
    fresh = _make_tokens(ctx, hsm, seen) if is_last and not is_large else []

    def store(request: ActivationRequest, act: Act) -> None:
        if not is_last:  # another approver approved after our read, so no tokens were made
            raise Conflict("Somebody else approved this a moment ago. Look again.")
        if is_large:
            tokens.issue_later(ctx, request)
        else:
            tokens.store(ctx, settings, request, fresh, act)

    ctx.uow.begin_write()
    return REQUESTS.approve(ctx, request_id, digest, note, store)


def cards_changed(ctx: Context, requests: Sequence[ActivationRequest]) -> dict[UUID, Text]:
    """Return, for each request with changed cards, a sentence that names them, in one query for all.

    A card has changed if it left the state the request needs, or its organisation.
    """
    # What a card needs depends on the kind of its request, and one query serves requests of all kinds.
    ready = or_(*(and_(ActivationRequest.kind == kind, is_ready(kind)) for kind in RequestKind))
    query = select(ActivationRequestCard.activation_request_id, Card.uid).join(Card, Card.id == ActivationRequestCard.card_id)
    query = query.join(ActivationRequest, ActivationRequest.id == ActivationRequestCard.activation_request_id)
    query = query.where(ActivationRequest.id.in_([request.id for request in requests]))
    moved = and_(ActivationRequestCard.former_unit_id.is_not(None), Card.unit_id != ActivationRequestCard.former_unit_id)
    query = query.where(or_(~ready, Card.holder_id != ActivationRequest.organisation_id, moved))
    changed: dict[UUID, list[str]] = {}
    for request_id, uid in ctx.session.execute(query.order_by(ActivationRequestCard.position)):
        changed.setdefault(request_id, []).append(uid)
    return {request.id: _changed(request, changed[request.id]) for request in requests if request.id in changed}


def _changed(request: ActivationRequest, uids: Sequence[str]) -> Text:
    ready = READY[RequestKind(request.kind)][0]
    return say("These cards are no longer %(state)s: %(uids)s. Return the request.", state=ready, uids=", ".join(uids[:5]))


def _require_unchanged(ctx: Context, request: ActivationRequest) -> None:
    """Raise Conflict that names the cards that are not ready any more; none is skipped."""
    changed = cards_changed(ctx, [request])
    if changed:
        raise Conflict(changed[request.id], type="cards-changed")


def _make_tokens(ctx: Context, hsm: HSM, request: ActivationRequest) -> list[tokens.Fresh]:
    """Make a token for each card."""
    query = select(Card.id, Card.uid).join(ActivationRequestCard, ActivationRequestCard.card_id == Card.id)
    query = query.where(ActivationRequestCard.activation_request_id == request.id).order_by(ActivationRequestCard.position)
    rows = ctx.session.execute(query).all()
    data_key = sealing.ensure_key(ctx, hsm, request.organisation_id)
    return tokens.make(hsm, request.id, [(row.id, row.uid) for row in rows], data_key)
