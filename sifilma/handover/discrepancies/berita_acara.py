"""Make the paper about a discrepancy as a PDF: the supplement to a BAST, of what the receiver stated, once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask_babel import lazy_gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.audit import checkpoints
from sifilma.cards.models import Card
from sifilma.documents import indonesian, issued_papers, rendering
from sifilma.documents.letterhead import letterhead
from sifilma.handover.bast import MOST_AT_ONCE, side_of
from sifilma.handover.discrepancies.models import DifferenceState, Discrepancy, DiscrepancyCard
from sifilma.handover.discrepancies.queries import Differing
from sifilma.handover.models import Handover, Side
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Unavailable
from sifilma.kernel.file_store import FileStore

NAME = "berita_acara_selisih"
MOST_ROWS = MOST_AT_ONCE
"""Cards up to which the paper is made while the receipt is recorded, as that of a BAST is."""
FATES = {
    True: _("This paper counts. Of some of its cards nobody knows yet what became."),
    False: _("This paper counts. What became of each missing card is recorded."),
}


def make(ctx: Context, settings: Settings, stated: Differing) -> issued_papers.Made:
    """Return the paper. Its QR code leads to the verification page with the BAST's id and the discrepancy's digest. Raise Unprintable."""
    pdf = rendering.render(NAME, _data(ctx, settings, stated), banner=settings.banner)
    template = issued_papers.template_of(NAME, rendering.NEWEST)
    return issued_papers.Made(template, stated.discrepancy.digest, pdf, filename(stated.discrepancy))


def check(ctx: Context, settings: Settings, stated: Differing) -> None:
    """Raise Unprintable if the paper cannot be made: with the notes of all cards in one."""
    signs = " ".join(dict.fromkeys("".join(row.note for row in stated.rows)))
    make(ctx, settings, replace(stated, rows=[DiscrepancyCard(id=stated.rows[0].id, note=signs)], cards=stated.cards[:1]))


def stored(ctx: Context, store: FileStore, discrepancy: Discrepancy) -> bytes:
    """Return the paper as it was issued. Raise Unavailable for a large one that the worker has not made yet."""
    paper = issued_papers.find_paper(ctx.session, "discrepancy", discrepancy.handover_id)
    if paper is None:
        raise Unavailable("This paper has many cards. It is being made: try again in a minute.", type="paper-being-made")
    return store.get(ctx.session, paper.document.sha256)


def filename(discrepancy: Discrepancy) -> str:
    """Return the name of the file, such as `BA-SELISIH-400.8-0001-….pdf`."""
    return f"BA-SELISIH-{discrepancy.number.replace('/', '-')}.pdf"


def _data(ctx: Context, settings: Settings, stated: Differing) -> dict[str, Any]:
    made, handover, url = stated.discrepancy, stated.handover, f"{settings.public_url}/verifikasi"
    zone = indonesian.zone_of(handover.receiver.region_code)
    day = made.recorded_at.astimezone(zone)
    rows = [(card, row, row.id in stated.missing) for card, row in zip(stated.cards, stated.rows, strict=True)]
    missing, total = sum(is_missing for *_, is_missing in rows), len(handover.cards)
    damaged = len(rows) - missing
    issued = handover.issued_at.astimezone(indonesian.zone_of(handover.issuer.region_code))
    return {
        "title": f"Berita Acara Selisih {made.number}",
        "number": made.number,
        "date": {"year": day.year, "month": day.month, "day": day.day},
        "spoken_date": indonesian.spoken_date(day.date()),
        "short_date": indonesian.short_date(day.date()),
        "time": indonesian.local_time(made.recorded_at, zone),
        "place": made.place,
        "letterhead": letterhead(ctx.session, handover.receiver),
        "bast": {"number": handover.number, "date": indonesian.long_date(issued.date())},
        "issuer": side_of(handover.issuer, stated.signatories.get(Side.ISSUER)),
        "receiver": side_of(handover.receiver, stated.signatories.get(Side.RECEIVER)),
        "counts": {
            name: {"number": number, "words": indonesian.words(number)}
            for name, number in (("listed", total), ("intact", total - len(rows)), ("missing", missing), ("damaged", damaged))
        },
        "cards": [
            {
                "no": number,
                "uid": indonesian.uid_pairs(card.uid),
                "function": card.function,
                "kind": "tidak diterima" if is_missing else "diterima rusak",
                "note": row.note,
            }
            for number, (card, row, is_missing) in enumerate(rows, start=1)
        ],
        "notes": made.notes,
        "digest": made.digest,
        "log": checkpoints.printed(ctx.session, made.recorded_at),
        "url": url,
        "qr": rendering.qr_svg(f"{url}?selisih={handover.id}&sha256={made.digest}"),
    }


def register_paper() -> None:
    """Register the paper on the public verification page, so that whoever holds one can look it up."""
    issued_papers.register(
        "selisih", issued_papers.Kind(_("Report of a discrepancy in a receipt (Berita Acara Selisih)"), "discrepancy", _paper)
    )


def _paper(session: Session, handover_id: UUID) -> issued_papers.Paper | None:
    found = session.get(Discrepancy, handover_id)
    if found is None:
        return None
    handover = session.get_one(Handover, found.handover_id)
    cards = (
        select(Card.uid).join(DiscrepancyCard, DiscrepancyCard.card_id == Card.id).where(DiscrepancyCard.handover_id == found.handover_id)
    )
    moved = session.scalar(select(func.max(DiscrepancyCard.changed_at)).where(DiscrepancyCard.handover_id == found.handover_id))
    is_open = any(row.state == DifferenceState.MISSING for row in found.cards)
    return issued_papers.Paper(
        digest=found.digest,
        number=found.number,
        at=found.recorded_at,
        state="issued",
        parties=((_("From"), handover.issuer.name), (_("To"), handover.receiver.name)),
        cards=list(session.scalars(cards.order_by(DiscrepancyCard.position))),
        fate=FATES[is_open],
        counts=True,
        moved_at=moved or found.recorded_at,
    )
