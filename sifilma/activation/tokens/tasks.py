"""What the worker does: it makes the tokens of approved requests of many cards, some hundreds in a transaction.

The place of the last card that was seen to (`TokenIssue.made_to`) moves in the transaction of its tokens, so whatever ends a worker, each
card is seen to once. The tokens belong to the act of the approval, as those that are made with it do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy import select

from config.settings import Settings
from hsm import HSM
from sifilma.activation.models import ActivationRequest, ActivationRequestCard, RequestKind, RequestState, TokenIssue
from sifilma.activation.suspensions.queries import is_ready
from sifilma.activation.tokens import sealing, service
from sifilma.cards.models import Card
from sifilma.dispatch.contract import Turn, Waiting
from sifilma.kernel.context import Act, Context

Contexts = Callable[[], AbstractContextManager[Context]]
TURN_SECONDS = 5.0
"""How long one round makes tokens."""
log = structlog.get_logger()


AT_ONCE_SECONDS = 1.0
"""How long a turn of one request makes tokens."""


@dataclass(frozen=True)
class _Part:
    """The next cards of a request: their ids and UIDs in its order, the place before the first, and the place of the last."""

    request_id: UUID
    organisation_id: UUID
    before: int
    last: int
    cards: Sequence[tuple[UUID, str]]


def issue(contexts: Contexts, settings: Settings, hsm: HSM, seconds: float = TURN_SECONDS) -> int:
    """Make tokens that are due for about `seconds`. Return how many cards were seen to.

    Raise ClockNotTrusted, and HSMError: the next round goes on where this one ended. One request after the other is served by one part,
    so a large one keeps no other waiting.
    """
    until, seen, after = time.monotonic() + seconds, 0, None
    while time.monotonic() < until:
        with contexts() as ctx:
            part = _next(ctx, after)
            if part is None and after is None:
                return seen
            if part is not None:
                seen += _serve(ctx, settings, hsm, part)
            after = part.request_id if part is not None else None
    return seen


def issue_one(contexts: Contexts, settings: Settings, hsm: HSM, request_id: UUID, seconds: float = AT_ONCE_SECONDS) -> Turn:
    """Make tokens of one request for about `seconds`. Return how many cards were seen to, and whether more wait. Raise as `issue` does."""
    until, seen = time.monotonic() + seconds, 0
    while True:
        with contexts() as ctx:
            part = _next(ctx, None, request_id)
            if part is None:
                return Turn(seen)
            seen += _serve(ctx, settings, hsm, part)
        if time.monotonic() >= until:
            return Turn(seen, 0.0)


def list_waiting(ctx: Context) -> list[Waiting]:
    """Return the requests whose tokens are not all made."""
    waiting = select(TokenIssue.activation_request_id, ActivationRequest.organisation_id).where(TokenIssue.ended_at.is_(None))
    waiting = waiting.join(ActivationRequest, ActivationRequest.id == TokenIssue.activation_request_id)
    return [Waiting(*row) for row in ctx.session.execute(waiting.order_by(TokenIssue.activation_request_id))]


def _next(ctx: Context, after: UUID | None, request_id: UUID | None = None) -> _Part | None:
    """Return the next part of the first request after `after`, or of this one, whose tokens are not all made; None if there is none."""
    ctx.require_trusted_clock()
    ctx.uow.begin_read()
    waiting = select(TokenIssue.activation_request_id, TokenIssue.made_to, ActivationRequest.organisation_id).join(
        ActivationRequest, ActivationRequest.id == TokenIssue.activation_request_id
    )
    waiting = waiting.where(TokenIssue.ended_at.is_(None)).order_by(TokenIssue.activation_request_id).limit(1)
    if after is not None:
        waiting = waiting.where(TokenIssue.activation_request_id > after)
    if request_id is not None:
        waiting = waiting.where(TokenIssue.activation_request_id == request_id)
    row = ctx.session.execute(waiting).first()
    if row is None:
        return None
    named = select(Card.id, Card.uid, ActivationRequestCard.position).join(Card, Card.id == ActivationRequestCard.card_id)
    named = named.where(
        ActivationRequestCard.activation_request_id == row.activation_request_id, ActivationRequestCard.position > row.made_to
    )
    cards = ctx.session.execute(named.order_by(ActivationRequestCard.position).limit(service.AT_ONCE)).all()
    last = cards[-1].position if cards else row.made_to
    return _Part(row.activation_request_id, row.organisation_id, row.made_to, last, [(card.id, card.uid) for card in cards])


def _serve(ctx: Context, settings: Settings, hsm: HSM, part: _Part) -> int:
    """Make the tokens of a part and store them. Return the number of cards seen to, 0 if another worker was faster."""
    data_key = sealing.ensure_key(ctx, hsm, part.organisation_id)
    fresh = service.make(hsm, part.request_id, part.cards, data_key)
    ctx.uow.begin_write()
    # Locks in the order request, token, card, as everywhere. A cancellation of the request is seen after this one, or waits for it.
    wanted = select(ActivationRequest).where(ActivationRequest.id == part.request_id)
    request = ctx.session.scalars(wanted.with_for_update(of=ActivationRequest)).one()
    going = ctx.session.get_one(TokenIssue, part.request_id, with_for_update=True)
    if going.made_to != part.before or going.ended_at is not None:
        return 0
    if request.state != RequestState.APPROVED or not part.cards:
        going.ended_at = ctx.now
        return 0
    ready = _ready(ctx, request, [card_id for card_id, _ in part.cards])
    act = Act(request.act_id, request.changed_at, request.changed_by)
    service.store(ctx, settings, request, [one for one in fresh if one.card_id in ready], act)
    going.made_to = part.last
    going.passed_over += len(part.cards) - len(ready)
    if part.last >= request.machines:
        going.ended_at = ctx.now
        log.info("tokens made", request=str(request.id), cards=request.machines, passed_over=going.passed_over)
    return len(part.cards)


def _ready(ctx: Context, request: ActivationRequest, card_ids: Sequence[UUID]) -> set[UUID]:
    """Lock these cards and return those that the request still can activate: no token is made for a card that was reported meanwhile."""
    wanted = Card.id.in_(card_ids), Card.holder_id == request.organisation_id, is_ready(RequestKind(request.kind))
    return set(ctx.session.scalars(select(Card.id).where(*wanted).order_by(Card.id).with_for_update(of=Card)))
