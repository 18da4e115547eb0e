"""What is read of a destruction: its cards and its photos."""

from __future__ import annotations

from sqlalchemy import select

from sifilma.cards.models import Card
from sifilma.destruction.models import Destruction, Witness
from sifilma.documents.known_people import KnownPerson, distinct
from sifilma.documents.models import Document
from sifilma.kernel.context import Context

MOST_LOOKED_AT = 200
"""The newest rows in which people are looked for."""


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


def officials_before(ctx: Context) -> list[KnownPerson]:
    """Return who was the responsible official in earlier Berita Acara of the actor's organisation, the newest first."""
    columns = (Destruction.official_name, Destruction.official_id_kind, Destruction.official_id_number, Destruction.official_position)
    query = select(*columns).where(Destruction.organisation_id == ctx.actor.organisation_id, Destruction.executed_at.is_not(None))
    found = ctx.session.execute(query.order_by(Destruction.executed_at.desc()).limit(MOST_LOOKED_AT))
    return distinct(KnownPerson(*(text or "" for text in row)) for row in found)


def witnesses_before(ctx: Context) -> list[KnownPerson]:
    """Return who was a witness in earlier Berita Acara of the actor's organisation, the newest first."""
    columns = (Witness.name, Witness.id_kind, Witness.id_number, Witness.job, Witness.office)
    query = select(*columns).join(Destruction, Destruction.id == Witness.destruction_id)
    query = query.where(Destruction.organisation_id == ctx.actor.organisation_id).order_by(Witness.id.desc()).limit(MOST_LOOKED_AT)
    return distinct(KnownPerson(*row) for row in ctx.session.execute(query))
