"""Make the Berita Acara Pemusnahan as a PDF: of what is recorded, once, when it is recorded."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask_babel import lazy_gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.audit import checkpoints
from sifilma.cards.models import Card, Unit
from sifilma.destruction.models import DESTRUCTION, Destruction, DestructionCard, DestructionState
from sifilma.destruction.queries import cards_of, photos_of
from sifilma.documents import indonesian, issued_papers, rendering
from sifilma.documents.letterhead import letterhead
from sifilma.identity.fields import ID_WORDS
from sifilma.identity.models import IdKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict
from sifilma.kernel.file_store import FileStore

NAME = "berita_acara_pemusnahan"
CAUSES = {"damaged": "rusak", "locked": "terkunci", "revoked": "dicabut"}
FATES = {
    DestructionState.EXECUTED: _("This Berita Acara counts. The directorate has not compared it with the cards yet."),
    DestructionState.VERIFIED: _("This Berita Acara counts, and the directorate has compared it with the cards."),
}


def make(ctx: Context, store: FileStore, settings: Settings, found: Destruction, version: int = rendering.NEWEST) -> issued_papers.Made:
    """Return the paper of a recorded destruction. Its QR code leads to the verification page with id and digest. Raise Unprintable."""
    photos = photos_of(ctx, found)
    names = [rendering.image_name(f"foto-{n}", photo.media_type) for n, photo in enumerate(photos, start=1)]
    data = _common(ctx, settings, found) | {
        "photos": [{"no": n, "file": name, "sha256": p.sha256} for n, (name, p) in enumerate(zip(names, photos, strict=True), start=1)],
    }
    if version != rendering.FIRST:
        day = _day(found)
        data |= {"letterhead": letterhead(ctx.session, found.organisation), "short_date": indonesian.short_date(day.date())}
    images = {name: store.get(ctx.session, photo.sha256) for name, photo in zip(names, photos, strict=True)}
    pdf = rendering.render(NAME, data, images, banner=settings.banner, version=version)
    return issued_papers.Made(issued_papers.template_of(NAME, version), found.record_digest or "", pdf, filename(found))


def stored(ctx: Context, store: FileStore, settings: Settings, found: Destruction) -> bytes:
    """Return the paper as it was issued. One from before papers were stored is made as it was then.

    Raise Conflict if nothing is recorded yet.
    """
    if found.executed_at is None or found.number is None:
        raise Conflict("There is no Berita Acara yet: the destruction has not been recorded.", state=found.state)
    kept = issued_papers.find_paper(ctx.session, DESTRUCTION.kind, found.id)
    return make(ctx, store, settings, found, rendering.FIRST).pdf if kept is None else store.get(ctx.session, kept.document.sha256)


def filename(found: Destruction) -> str:
    """Return the name of the file, such as `BA-400.8-0003-BA-PEMUSNAHAN-XI-2026.pdf`."""
    return f"BA-{(found.number or '').replace('/', '-')}.pdf"


def _day(found: Destruction) -> datetime:
    """Return the moment of a recorded destruction in the zone of the office that executed it."""
    assert found.executed_at is not None  # noqa: S101  # `make` is called for recorded ones only
    return found.executed_at.astimezone(indonesian.zone_of(found.organisation.region_code))


def _common(ctx: Context, settings: Settings, found: Destruction) -> dict[str, Any]:
    url, day = f"{settings.public_url}/verifikasi", _day(found)
    cards = _cards(ctx, found)
    return {
        "title": f"Berita Acara Pemusnahan {found.number}",
        "number": found.number,
        "date": {"year": day.year, "month": day.month, "day": day.day},
        "spoken_date": indonesian.spoken_date(day.date()),
        "time": indonesian.local_time(day, indonesian.zone_of(found.organisation.region_code)),
        "organisation": {"name": found.organisation.name},
        "place": found.place,
        "cause": CAUSES[found.cause],
        "method": found.method,
        "legal_basis": found.legal_basis,
        "digest": found.record_digest,
        "log": checkpoints.printed(ctx.session, day),
        "url": url,
        "qr": rendering.qr_svg(f"{url}?ba={found.id}&sha256={found.record_digest}"),
        "cards": cards,
        "count": len(cards),
        "count_words": indonesian.words(len(cards)),
        "official": {
            "name": found.official_name,
            "identity": identity(found.official_id_kind or "", found.official_id_number or ""),
            "position": found.official_position,
        },
        "witnesses": [
            {"no": w.position, "name": w.name, "identity": identity(w.id_kind, w.id_number), "office": w.office, "position": w.job}
            for w in found.witnesses
        ],
    }


def identity(kind: str, number: str) -> str:
    """Return kind and number of an identity, such as `NIP 197501012000032001`."""
    return f"{ID_WORDS[IdKind(kind)]} {number}"


def _cards(ctx: Context, found: Destruction) -> list[dict[str, Any]]:
    cards = cards_of(ctx, found)
    query = select(Unit.id, Unit.hardware_number).where(Unit.id.in_([card.unit_id for card in cards if card.unit_id]))
    numbers: dict[UUID, str] = dict(ctx.session.execute(query).all())
    return [
        {
            "no": n,
            "uid": indonesian.uid_pairs(card.uid),
            "function": card.function,
            "hardware": numbers[card.unit_id] if card.unit_id else "-",
        }
        for n, card in enumerate(cards, start=1)
    ]


def register_paper() -> None:
    """Register the Berita Acara on the public verification page, so that whoever holds one can look it up."""
    issued_papers.register("ba", issued_papers.Kind(_("Destruction of SAM cards (Berita Acara)"), DESTRUCTION.kind, _paper))


def _paper(session: Session, destruction_id: UUID) -> issued_papers.Paper | None:
    found = session.get(Destruction, destruction_id)
    if found is None or found.record_digest is None or found.number is None or found.executed_at is None:
        return None
    cards = select(Card.uid).join(DestructionCard, DestructionCard.card_id == Card.id).where(DestructionCard.destruction_id == found.id)
    return issued_papers.Paper(
        digest=found.record_digest,
        number=found.number,
        at=found.executed_at,
        state=found.state,
        parties=((_("Holder of the cards"), found.organisation.name),),
        cards=list(session.scalars(cards.order_by(DestructionCard.position))),
        fate=FATES[DestructionState(found.state)],
        counts=True,
        moved_at=found.changed_at,
    )
