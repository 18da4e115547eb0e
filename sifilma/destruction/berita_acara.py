"""Render the Berita Acara Pemusnahan as a PDF. The same destruction always gives the same bytes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask_babel import lazy_gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.audit import checkpoints
from sifilma.cards.models import Unit
from sifilma.destruction.models import Destruction
from sifilma.destruction.service import cards_of, photos_of
from sifilma.documents import indonesian, issued_papers, rendering
from sifilma.identity.models import IdKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict
from sifilma.kernel.file_store import FileStore

CAUSES = {"damaged": "rusak", "locked": "terkunci", "revoked": "dicabut"}
_ID_WORDS = {IdKind.NIP: "NIP", IdKind.NRP: "NRP", IdKind.EMPLOYEE: "Nomor pegawai"}


def berita_acara(ctx: Context, store: FileStore, settings: Settings, found: Destruction) -> bytes:
    """Return the PDF. Its QR code leads to the verification page with id and digest. Raise Conflict if nothing is recorded yet."""
    if found.executed_at is None or found.number is None:
        raise Conflict("There is no Berita Acara yet: the destruction has not been recorded.", state=found.state)
    public_url, zone = settings.public_url, indonesian.zone_of(found.organisation.region_code)
    day = found.executed_at.astimezone(zone)
    photos = photos_of(ctx, found)
    names = [rendering.image_name(f"foto-{n}", photo.media_type) for n, photo in enumerate(photos, start=1)]
    data = {
        "title": f"Berita Acara Pemusnahan {found.number}",
        "number": found.number,
        "date": {"year": day.year, "month": day.month, "day": day.day},
        "spoken_date": indonesian.spoken_date(day.date()),
        "time": indonesian.local_time(found.executed_at, zone),
        "organisation": {"name": found.organisation.name},
        "place": found.place,
        "cause": CAUSES[found.cause],
        "method": found.method,
        "legal_basis": found.legal_basis,
        "digest": found.record_digest,
        "log": checkpoints.printed(ctx.session, found.executed_at),
        "url": f"{public_url}/verifikasi",
        "qr": rendering.qr_svg(f"{public_url}/verifikasi?ba={found.id}&sha256={found.record_digest}"),
        "cards": (cards := _cards(ctx, found)),
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
        "photos": [{"no": n, "file": name, "sha256": p.sha256} for n, (name, p) in enumerate(zip(names, photos, strict=True), start=1)],
    }
    images = {name: store.get(photo.sha256) for name, photo in zip(names, photos, strict=True)}
    return rendering.render("berita_acara_pemusnahan", data, images, banner=settings.banner)


def identity(kind: str, number: str) -> str:
    """Return kind and number of an identity, such as `NIP 197501012000032001`."""
    return f"{_ID_WORDS[IdKind(kind)]} {number}"


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
    issued_papers.register("ba", issued_papers.Kind(_("Destruction of SAM cards (Berita Acara)"), _paper))


def _paper(session: Session, destruction_id: UUID) -> issued_papers.Paper | None:
    found = session.get(Destruction, destruction_id)
    if found is None or found.record_digest is None or found.number is None or found.executed_at is None:
        return None
    return issued_papers.Paper(found.record_digest, found.number, found.executed_at, found.state)
