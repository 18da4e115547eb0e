"""Tokens: made at approval, shown to their organisation, issued anew, and cancelled after too many wrong tries."""

from __future__ import annotations

import hmac
import secrets
import string
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from hsm import HSM
from hsm.keys import label_of
from hsm.token import Operations
from sifilma.activation.models import (
    TOKEN,
    ActivationRequest,
    ActivationRequestCard,
    DataKey,
    RequestKind,
    RequestState,
    Token,
    TokenIssue,
    TokenState,
)
from sifilma.activation.queries import get_request, tokens_query
from sifilma.activation.suspensions.queries import is_ready
from sifilma.activation.tokens import sealing
from sifilma.activation.trust import status_list
from sifilma.audit.models import Action
from sifilma.audit.service import record, record_in
from sifilma.cards.models import Card
from sifilma.dispatch import queue
from sifilma.dispatch.contract import TOKENS
from sifilma.identity.permissions import Operation
from sifilma.kernel import deadline
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.many.parallel import in_parts
from sifilma.kernel.text import say

LENGTH = 10
MAC, MAC_LENGTH = "token-mac", 32
ALPHABET = string.ascii_letters + string.digits
MAX_TRIES = 5
# Rows per query: `IN` has a limit on parameters.
AT_ONCE = 500


@dataclass(frozen=True)
class Fresh:
    """A token that is made in the HSM but not stored yet."""

    id: UUID
    card_id: UUID
    mac: bytes
    sealed: bytes


@dataclass(frozen=True)
class Revealed:
    """A token in clear, to be shown to its organisation."""

    sam_uid: str
    token: str
    expires_at: datetime


def message(request_id: UUID, uid: str, token: str) -> bytes:
    """Return the message of which `token-mac` makes the HMAC: request ‖ UID ‖ token (16, 8 and 10 bytes)."""
    return request_id.bytes + bytes.fromhex(uid) + token.encode()


def matches(do: Operations, request_id: UUID, uid: str, token: str, mac: bytes) -> bool:
    """Return whether a typed token is the one behind the stored MAC, whichever version of `token-mac` made it. The comparison takes
    constant time.
    """
    version, made = sealing.parted(mac, MAC_LENGTH)
    return hmac.compare_digest(do.hmac(label_of(MAC, version), message(request_id, uid, token)), made)


def make_mac(do: Operations, request_id: UUID, uid: str, token: str) -> bytes:
    """Return the MAC of a token, made by the version of `token-mac` that is in use."""
    version = do.version(MAC)
    return sealing.versioned(version, do.hmac(label_of(MAC, version), message(request_id, uid, token)))


def make(hsm: HSM, request_id: UUID, cards: Sequence[tuple[UUID, str]], data_key: DataKey) -> list[Fresh]:
    """Make a token for each pair of card id and UID. No transaction may be open."""
    return in_parts(lambda part: hsm.run(lambda do: _make(do, request_id, part, data_key)), cards)


def _make(do: Operations, request_id: UUID, cards: Sequence[tuple[UUID, str]], data_key: DataKey) -> list[Fresh]:
    key = sealing.open_key(do, data_key.organisation_id, data_key.month, data_key.sealed)
    return [make_one(do, (request_id, card_id, uid), data_key.id, key) for card_id, uid in cards]


def make_one(do: Operations, of: tuple[UUID, UUID, str], data_key_id: UUID, key: AESGCM) -> Fresh:
    """Make a token of a request for a card (`of`: their ids, and the card's UID), sealed under an opened data key."""
    request_id, card_id, uid = of
    token_id, token = uuid7(), "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    sealed = data_key_id.bytes + sealing.seal(key, token.encode(), b"token", token_id)
    return Fresh(token_id, card_id, make_mac(do, request_id, uid, token), sealed)


def issue_later(ctx: Context, request: ActivationRequest) -> None:
    """Have the worker make the tokens of a request that was just approved (`tasks.issue`)."""
    ctx.session.add(TokenIssue(activation_request_id=request.id, made_to=0, passed_over=0, began_at=ctx.now))
    ctx.session.flush()
    queue.enqueue(ctx.session, TOKENS, request.id, request.organisation_id)


def find_issue(session: Session, request_id: UUID) -> TokenIssue | None:
    """Return how far the worker is with the tokens of a request, None if they were made with its approval."""
    return session.get(TokenIssue, request_id)


def store(ctx: Context, settings: Settings, request: ActivationRequest, fresh: Sequence[Fresh], act: Act) -> None:
    """Store the tokens of an approved request as issued, each with a reserved status index."""
    expires_at = ctx.trusted_now + timedelta(days=settings.token_days)
    places = status_list.reserve(ctx.session, len(fresh), settings.status_list_size)
    for made, (number, index) in zip(fresh, places, strict=True):
        token = Token(
            id=made.id,
            activation_request_id=request.id,
            card_id=made.card_id,
            organisation_id=request.organisation_id,
            mac=made.mac,
            sealed=made.sealed,
            tries=0,
            expires_at=expires_at,
            status_list=number,
            status_index=index,
        )
        TOKEN.born(token, TokenState.ISSUED, act)
        ctx.session.add(token)
    ctx.session.flush()


def of_request(session: Session, request_id: UUID) -> list[tuple[Token, str]]:
    """Return every token of a request with its card's UID, oldest first; not those that were made to issue manifests anew."""
    of = select(Token, Card.uid).join(Card, Card.id == Token.card_id).where(Token.activation_request_id == request_id)
    return [(token, uid) for token, uid in session.execute(of.where(Token.reissue_id.is_(None)).order_by(Token.id))]


def reveal(ctx: Context, hsm: HSM, request_id: UUID) -> list[Revealed]:
    """Return the open tokens of a request of the actor's organisation in clear, and record it.

    Raise NotFound outside the scope, and Conflict (`no-token`) if there is none to show.
    """
    request = _own_approved(ctx, request_id)
    rows = [(token, uid) for token, uid in of_request(ctx.session, request.id) if token.state == TokenState.ISSUED]
    open_rows = [(token, uid) for token, uid in rows if token.expires_at > ctx.now]
    if not open_rows:
        raise Conflict("This request has no open token any more.", type="no-token")
    deadline.allow_for(len(open_rows))
    keys = _data_keys(ctx.session, [token for token, _ in open_rows])
    ctx.uow.end_read()
    shown = in_parts(lambda part: hsm.run(lambda do: _open(do, part, keys)), open_rows)
    ctx.uow.begin_write()
    record(ctx, Action.TOKEN_REVEAL, "activation_request", request_id, count=len(shown), cards=[uid for _, uid in open_rows])
    return shown


def _parts(uids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (uids[start : start + AT_ONCE] for start in range(0, len(uids), AT_ONCE))


def _own_approved(ctx: Context, request_id: UUID) -> ActivationRequest:
    request = get_request(ctx, request_id, Operation.TOKEN_REVEAL)
    if request.state != RequestState.APPROVED:
        raise Conflict(say("A request that is %(state)s has no open tokens.", state=request.state), state=request.state, type="no-token")
    return request


def _data_keys(session: Session, tokens: Sequence[Token]) -> dict[UUID, DataKey]:
    ids = {UUID(bytes=token.sealed[:16]) for token in tokens}
    return {key.id: key for key in session.scalars(select(DataKey).where(DataKey.id.in_(ids)))}


def _open(do: Operations, rows: Sequence[tuple[Token, str]], keys: dict[UUID, DataKey]) -> list[Revealed]:
    opened = {key.id: sealing.open_key(do, key.organisation_id, key.month, key.sealed) for key in keys.values()}
    return [
        Revealed(
            uid,
            sealing.open_sealed(opened[UUID(bytes=token.sealed[:16])], token.sealed[16:], b"token", token.id).decode(),
            token.expires_at,
        )
        for token, uid in rows
    ]


def reveal_for_cards(ctx: Context, hsm: HSM, uids: Collection[str]) -> dict[str, str]:
    """Return the open tokens of these cards of the actor's organisation in clear, by UID, and record it for each request."""
    found: list[tuple[Token, str]] = []
    waiting = tokens_query(ctx, Operation.TOKEN_REVEAL).where(Token.state == TokenState.ISSUED, Token.expires_at > ctx.now)
    mine = waiting.with_only_columns(Token.id)
    for part in _parts(sorted(uids)):
        query = select(Token, Card.uid).join(Card, Card.id == Token.card_id).where(Card.uid.in_(part), Token.id.in_(mine))
        found += [(token, uid) for token, uid in ctx.session.execute(query)]
    keys = _data_keys(ctx.session, [token for token, _ in found])
    ctx.uow.end_read()
    shown = {one.sam_uid: one.token for one in in_parts(lambda part: hsm.run(lambda do: _open(do, part, keys)), found)}
    ctx.uow.begin_write()
    of: dict[UUID, list[str]] = {}
    for token, uid in found:
        of.setdefault(token.activation_request_id, []).append(uid)
    for request_id, cards in of.items():
        record(ctx, Action.TOKEN_REVEAL, "activation_request", request_id, count=len(cards), cards=cards)
    return shown


def reissue(ctx: Context, settings: Settings, hsm: HSM, request_id: UUID, uid: str) -> Revealed:
    """Issue one card's token anew and cancel the old one if it is open. The new token is returned in clear, which is recorded.

    Raise ClockNotTrusted; NotFound outside the scope or if the request does not name the card; Conflict if the request is not approved, the
    card's token has been used, or the card is not ready any more.
    """
    ctx.require_trusted_clock()
    request = _own_approved(ctx, request_id)
    card_id = _card_without_activation(ctx, request, uid)
    data_key = sealing.ensure_key(ctx, hsm, request.organisation_id)
    fresh = make(hsm, request_id, [(card_id, uid)], data_key)
    token = sealing.open_sealed(sealing.unwrap(hsm, data_key), fresh[0].sealed[16:], b"token", fresh[0].id).decode()
    ctx.uow.begin_write()
    # A concurrent cancellation of the request is either seen after this lock, or waits for it and then cancels the new token too.
    hold(ctx.session, _own_approved(ctx, request_id))
    request = _own_approved(ctx, request_id)
    act = record(ctx, Action.TOKEN_REISSUE, "activation_request", request.id, card=uid)
    cancel_open(ctx.session, act, say("issued anew"), Token.activation_request_id == request.id, Token.card_id == card_id)
    hold(ctx.session, ctx.session.get_one(Card, card_id))  # after the tokens: locks are taken in the order request, token, manifest, card
    _card_without_activation(ctx, request, uid)
    store(ctx, settings, request, fresh, act)
    return Revealed(uid, token, ctx.now + timedelta(days=settings.token_days))


def _card_without_activation(ctx: Context, request: ActivationRequest, uid: str) -> UUID:
    """Return the id of a card that can still be activated by this request.

    Raise NotFound if the request does not name it, and Conflict if its token was used or it is not in the needed state and hands.
    """
    named = names(ctx.session, request.id, uid)
    if named is None:
        raise NotFound("This request names no such card.")
    issue = find_issue(ctx.session, request.id)
    if issue is not None and issue.made_to < named.position:
        raise Conflict("The tokens of this request are still being made.", type="tokens-being-made")
    of_card = Token.activation_request_id == request.id, Token.card_id == named.card_id
    if ctx.session.scalar(select(Token.id).where(*of_card, Token.state == TokenState.REDEEMED)) is not None:
        raise Conflict("This card's token has been used.", type="token-used")
    card = ctx.session.get_one(Card, named.card_id, populate_existing=True)
    ready = select(Card.id).where(Card.id == card.id, Card.holder_id == request.organisation_id, is_ready(RequestKind(request.kind)))
    if ctx.session.scalar(ready) is None:
        raise Conflict(say("The card is %(state)s: it gets no new token.", state=card.state), type="card-not-ready", state=card.state)
    return card.id


def names(session: Session, request_id: UUID, uid: str) -> ActivationRequestCard | None:
    """Return the card with this UID as a request names it, or None."""
    query = select(ActivationRequestCard).join(Card, Card.id == ActivationRequestCard.card_id)
    return session.scalars(query.where(ActivationRequestCard.activation_request_id == request_id, Card.uid == uid)).first()


def cancel_open(session: Session, act: Act, note: str, *where: object) -> int:
    """Cancel every open token that meets the conditions. Return their number."""
    tokens = list(session.scalars(select(Token).where(Token.state == TokenState.ISSUED, *where)))  # type: ignore[arg-type]  # column expressions
    deadline.allow_for(len(tokens))
    TOKEN.move_all(session, tokens, TokenState.CANCELLED, act, note)
    session.flush()
    return len(tokens)


def count_wrong_try(session: Session, ctx: Context, token_id: UUID) -> int:
    """Count one wrong try; the fifth cancels the token. Return the tries left.

    The caller's transaction must be one that is committed although the token is refused.
    """
    act = record_in(session, ctx, Action.TOKEN_REFUSED, "token", token_id)
    tries = session.scalar(
        update(Token)
        .where(Token.id == token_id, Token.state == TokenState.ISSUED, Token.tries < MAX_TRIES)
        .values(tries=Token.tries + 1)
        .returning(Token.tries)
        .execution_options(synchronize_session=False)
    )
    if tries is None:
        return 0
    if tries >= MAX_TRIES:
        cancel_open(session, act, say("the fifth wrong try"), Token.id == token_id)
    return MAX_TRIES - int(tries)
