"""The BAST as a PDF, the same bytes each time."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from sifilma.audit import checkpoints
from sifilma.cards.models import Unit
from sifilma.documents import indonesian, rendering
from sifilma.handover.models import Handover
from sifilma.handover.service import cards_of
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context


def bast(ctx: Context, public_url: str, handover: Handover) -> bytes:
    """Render the BAST; its QR leads to the verification page with number and digest."""
    cards = cards_of(ctx, handover)
    units: dict[UUID, Unit] = {
        u.id: u for u in ctx.session.scalars(select(Unit).where(Unit.id.in_([c.unit_id for c in cards if c.unit_id])))
    }
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
                {
                    "no": number,
                    "uid": indonesian.uid_pairs(card.uid),
                    "function": card.function,
                    "hardware": units[card.unit_id].hardware_number if card.unit_id else "-",
                    "kcv": card.kcv,
                }
                for number, card in enumerate(cards, start=1)
            ],
        },
    )
