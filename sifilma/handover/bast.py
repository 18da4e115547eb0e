"""Render the BAST as a PDF.

Of its cards it prints only what its digest covers (UID, function, KCV). The unit of a card is left out, because it may change later.
"""

from __future__ import annotations

from uuid import UUID

from flask_babel import lazy_gettext as _
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.audit import checkpoints
from sifilma.documents import indonesian, issued_papers, rendering
from sifilma.handover.models import Handover
from sifilma.handover.service import cards_of
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context


def bast(ctx: Context, settings: Settings, handover: Handover) -> bytes:
    """Return the PDF. Its QR code leads to the verification page with the BAST's id and digest."""
    public_url = settings.public_url
    cards = cards_of(ctx, handover)
    zone = indonesian.zone_of(handover.issuer.region_code)
    day = handover.issued_at.astimezone(zone)
    own_paper = handover.issuer.kind == OrganisationKind.MANUFACTURER
    return rendering.render(
        "bast",
        {
            "title": f"BAST {handover.number}",
            "number": handover.number,
            "date": {"year": day.year, "month": day.month, "day": day.day},
            "spoken_date": indonesian.spoken_date(day.date()),
            "time": indonesian.local_time(handover.issued_at, zone),
            **({"letterhead": [handover.issuer.name.upper()]} if own_paper else {}),
            "issuer": {"name": handover.issuer.name},
            "receiver": {"name": handover.receiver.name},
            "count": len(cards),
            "count_words": indonesian.words(len(cards)),
            "notes": handover.notes,
            "digest": handover.digest,
            "log": checkpoints.printed(ctx.session, handover.issued_at),
            "url": f"{public_url}/verifikasi",
            "qr": rendering.qr_svg(f"{public_url}/verifikasi?bast={handover.id}&sha256={handover.digest}"),
            "cards": [
                {"no": number, "uid": indonesian.uid_pairs(card.uid), "function": card.function, "kcv": card.kcv}
                for number, card in enumerate(cards, start=1)
            ],
        },
        banner=settings.banner,
    )


def register_paper() -> None:
    """Register the BAST on the public verification page, so that whoever holds one can look it up."""
    issued_papers.register("bast", issued_papers.Kind(_("Handover of SAM cards (BAST)"), _paper))


def _paper(session: Session, handover_id: UUID) -> issued_papers.Paper | None:
    found = session.get(Handover, handover_id)
    return issued_papers.Paper(found.digest, found.number, found.issued_at, found.state) if found else None
