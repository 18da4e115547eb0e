"""What is read of a destruction: its cards and its photos."""

from __future__ import annotations

from sqlalchemy import select

from sifilma.cards.models import Card
from sifilma.destruction.models import Destruction
from sifilma.documents.models import Document
from sifilma.kernel.context import Context


def cards_of(ctx: Context, found: Destruction) -> list[Card]:
    """Return the cards of a destruction, in their order."""
    ids = [named.card_id for named in found.cards]
    cards = {card.id: card for card in ctx.session.scalars(select(Card).where(Card.id.in_(ids)))}
    return [cards[card_id] for card_id in ids]


def photos_of(ctx: Context, found: Destruction) -> list[Document]:
    """Return the photos of a destruction, in their order."""
    ids = [photo.document_id for photo in found.photos]
    documents = {document.id: document for document in ctx.session.scalars(select(Document).where(Document.id.in_(ids)))}
    return [documents[document_id] for document_id in ids]
