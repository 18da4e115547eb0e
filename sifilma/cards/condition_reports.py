"""What is reported about cards: damaged, locked, lost, found; with photos of what there is to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import CARD, Card, CardPhoto, CardState
from sifilma.cards.schemas import ReportIn
from sifilma.cards.service import get_card
from sifilma.documents import service as documents
from sifilma.documents.models import Document
from sifilma.documents.service import Upload, keep_photo
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.text import say

MAX_PHOTOS = 10
_CONDITIONS = {"damaged": CardState.DAMAGED, "locked": CardState.LOCKED, "lost": CardState.LOST, "found": CardState.RECEIVED}


def conditions(ctx: Context, card: Card) -> list[str]:
    """What the actor may report about a card as it is now."""
    if not grants(ctx.actor, Operation.CARD_REPORT) or not (ctx.actor.is_central or card.holder_id == ctx.actor.organisation_id):
        return []
    possible = [name for name, state in _CONDITIONS.items() if CARD.allows(card.state, state)]
    return [name for name in possible if name != "found" or card.state == CardState.LOST]


def report(ctx: Context, store: FileStore, uid: str, told: ReportIn, photos: Sequence[Upload] = ()) -> Card:
    """Report a card damaged, locked, lost or found. What stands on it (manifest, tokens) falls with it, by hooks."""
    card = get_card(ctx, uid, Operation.CARD_REPORT)
    _require_reportable(ctx, card, told.condition)
    if len(photos) > MAX_PHOTOS:
        raise Invalid.field("photos", say("At most %(most)s photos can be sent with a report.", most=MAX_PHOTOS))
    kept = [keep_photo(ctx, store, photo) for photo in photos]
    facts = {"condition": told.condition} | ({"photos": [photo.sha256 for photo in kept]} if kept else {})
    act = record(ctx, Action.CARD_REPORT, "card", card.id, organisation_id=card.holder_id, **facts)
    CARD.move(ctx.session, card, _CONDITIONS[told.condition], act, told.note)
    ctx.session.flush()
    ctx.session.add_all(
        CardPhoto(document_id=photo.id, card_id=card.id, act_id=act.id, position=position) for position, photo in enumerate(kept, start=1)
    )
    ctx.session.flush()
    return card


def _require_reportable(ctx: Context, card: Card, condition: str) -> None:
    if card.holder_id != ctx.actor.organisation_id and ctx.actor.organisation_kind != OrganisationKind.DIRECTORATE:
        raise Conflict("Only the holder of a card reports on it.")
    if condition == "found" and card.state != CardState.LOST:
        raise Conflict("Only a lost card is found again.", state=card.state)


def photos_of(ctx: Context, card: Card) -> dict[UUID, list[int]]:
    """The numbers of a card's photos, by the act of the report they came with. Numbers stay: photos are only added."""
    found: dict[UUID, list[int]] = {}
    for number, photo in enumerate(_photos(ctx, card), start=1):
        found.setdefault(photo.act_id, []).append(number)
    return found


def get_photo(ctx: Context, uid: str, number: int) -> Document:
    """One photo of a card the actor may see, by its number; NotFound."""
    photos = _photos(ctx, get_card(ctx, uid))
    if not 1 <= number <= len(photos):
        raise NotFound()
    return documents.get_document(ctx, photos[number - 1].document_id)


def _photos(ctx: Context, card: Card) -> Sequence[CardPhoto]:
    return ctx.session.scalars(select(CardPhoto).where(CardPhoto.card_id == card.id).order_by(CardPhoto.act_id, CardPhoto.position)).all()
