"""Reports about the condition of cards: damaged, locked, lost, found; with photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import CARD, Card, CardPhoto, CardState
from sifilma.cards.program_reports import find_pending, suspend_reported
from sifilma.cards.queries import get_card
from sifilma.cards.schemas import ReportIn
from sifilma.documents import service as documents
from sifilma.documents.models import Document
from sifilma.documents.service import Upload, keep_photo
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.text import say

MAX_PHOTOS = 10
_CONDITIONS = {"damaged": CardState.DAMAGED, "locked": CardState.LOCKED, "lost": CardState.LOST, "found": CardState.RECEIVED}
_UNDERWAY = (CardState.HANDED_OVER,)
"""States in which a card is lost by its BAST only: the receiver says that it did not come, the issuer that it is lost."""


# "found" leads to the state of a card in its holder's hands. CARD has other steps to that state, so `conditions` checks LOST as well.
def conditions(ctx: Context, card: Card) -> list[str]:
    """Return what the actor may report about a card in its present state: some of `damaged`, `locked`, `lost`, `found`."""
    if not grants(ctx.actor, Operation.CARD_REPORT) or not (ctx.actor.is_central or card.holder_id == ctx.actor.organisation_id):
        return []
    if card.state == CardState.SUSPENDED and find_pending(ctx, card) is not None:  # no other card has a report that waits
        return []
    possible = [name for name, state in _CONDITIONS.items() if CARD.allows(card.state, state)]
    return [
        name for name in possible if (name != "found" or card.state == CardState.LOST) and (name != "lost" or card.state not in _UNDERWAY)
    ]


def report(ctx: Context, store: FileStore, uid: str, told: ReportIn, photos: Sequence[Upload] = ()) -> Card:
    """Report a card as damaged, locked, lost or found. Return the card. A program's report only suspends it (`program_reports`).

    Hooks on the card's life cycle revoke its manifest and cancel its tokens in the same transaction (`activation/manifests/revocation.py`).
    Raise NotFound outside the actor's scope, Conflict if the actor's organisation does not hold the card, the step is not allowed or the
    report of a program waits for a decision, and Invalid for more than MAX_PHOTOS photos.
    """
    card = get_card(ctx, uid, Operation.CARD_REPORT)
    _require_reportable(ctx, card, told.condition)
    if len(photos) > MAX_PHOTOS:
        raise Invalid.field("photos", say("At most %(most)s photos can be sent with a report.", most=MAX_PHOTOS))
    kept = [keep_photo(ctx, store, photo) for photo in photos]
    facts: dict[str, Any] = {"condition": told.condition} | ({"photos": [photo.sha256 for photo in kept]} if kept else {})
    act = record(ctx, Action.CARD_REPORT, "card", card.id, organisation_id=card.holder_id, **facts)
    if ctx.actor.api_key_id is not None and told.condition != "found":
        suspend_reported(ctx, card, told, act)
    else:
        CARD.move(ctx.session, card, _state(ctx, card, told.condition), act, told.note)
    ctx.session.flush()
    ctx.session.add_all(
        CardPhoto(document_id=photo.id, card_id=card.id, act_id=act.id, position=position) for position, photo in enumerate(kept, start=1)
    )
    ctx.session.flush()
    return card


def _state(ctx: Context, card: Card, condition: str) -> CardState:
    """Return the state to which a report leads. A card that is found at the directorate was never received by anybody."""
    holder = ctx.session.get_one(Organisation, card.holder_id)
    if condition == "found" and holder.kind == OrganisationKind.DIRECTORATE:
        return CardState.PERSONALISED
    return _CONDITIONS[condition]


def _require_reportable(ctx: Context, card: Card, condition: str) -> None:
    if card.holder_id != ctx.actor.organisation_id and ctx.actor.organisation_kind != OrganisationKind.DIRECTORATE:
        raise Conflict("Only the holder of a card reports on it.")
    if condition == "lost" and card.state in _UNDERWAY:
        raise Conflict(
            "A card on its way is lost by its BAST: its receiver says that it did not come, its issuer that it is lost.",
            type="on-its-way",
            state=card.state,
        )
    if condition == "found" and card.state != CardState.LOST:
        raise Conflict("Only a lost card is found again.", state=card.state)
    if find_pending(ctx, card) is not None:
        raise Conflict("A program reported this card: confirm or withdraw that report first.", type="report-pending", state=card.state)


def photos_of(ctx: Context, card: Card) -> dict[UUID, list[int]]:
    """Return the numbers of a card's photos, grouped by the act of their report. A number never changes, since photos are only added."""
    found: dict[UUID, list[int]] = {}
    for number, photo in enumerate(_photos(ctx, card), start=1):
        found.setdefault(photo.act_id, []).append(number)
    return found


def get_photo(ctx: Context, uid: str, number: int) -> Document:
    """Return photo `number` (from 1) of a card the actor may see. Raise NotFound for an unknown card or number."""
    photos = _photos(ctx, get_card(ctx, uid))
    if not 1 <= number <= len(photos):
        raise NotFound()
    return documents.get_document(ctx, photos[number - 1].document_id)


_PHOTOS = Prepared(
    select(CardPhoto.document_id, CardPhoto.act_id)
    .where(CardPhoto.card_id == bindparam("card"))
    .order_by(CardPhoto.act_id, CardPhoto.position)
)


def _photos(ctx: Context, card: Card) -> Sequence[Any]:
    return _PHOTOS.read(ctx.session, {"card": card.id})
