"""Make the BAST as a PDF: of what is stated when it is issued, once.

A BAST from before papers were stored (it names no place) is made with the first version of the templates, and prints what its digest
covers: UID, function and KCV of its cards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from flask_babel import lazy_gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.audit import checkpoints
from sifilma.cards.models import Card
from sifilma.documents import indonesian, issued_papers, rendering
from sifilma.documents.letterhead import letterhead
from sifilma.documents.print_file import joined
from sifilma.handover.discrepancies.models import DiscrepancySignatory
from sifilma.handover.models import (
    HANDOVER,
    RECEIPTS,
    Handover,
    HandoverCard,
    HandoverKind,
    HandoverSignatory,
    HandoverState,
    ReturnReason,
    Side,
)
from sifilma.handover.queries import Stated, stated_of
from sifilma.identity.fields import ID_WORDS
from sifilma.identity.models import IdKind, Organisation
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Unavailable
from sifilma.kernel.file_store import FileStore

NAME = "bast"
MOST_AT_ONCE = 500
"""Cards up to which the paper is made while its BAST is issued: a second at most. The worker makes larger ones: 1,000 cards in 2 s."""
REASONS = {
    ReturnReason.AGREEMENT_ENDED: "perjanjian kerja sama (PKS) telah berakhir",
    ReturnReason.SANCTION: "pengenaan sanksi",
    ReturnReason.REPAIR: "perbaikan atau penggantian",
}
"""Why cards go back, in the words of the paper, which is Indonesian."""
FATES = {
    HandoverState.ISSUED: _("This BAST counts. The receiver has not answered it yet."),
    HandoverState.RECEIVED: _("This BAST counts: the receiver has received the cards."),
    HandoverState.PARTLY_RECEIVED: _(
        "This BAST counts: the receiver has received some of its cards, and states in a paper which ones did not come."
    ),
    HandoverState.CANCELLED: _("This BAST does not count any more: the issuer has cancelled it. The cards went back to the issuer."),
    HandoverState.REFUSED: _("This BAST does not count any more: the receiver has refused it. The cards went back to the issuer."),
}


def make(ctx: Context, settings: Settings, stated: Stated) -> issued_papers.Made:
    """Return the paper. Its QR code leads to the verification page with the BAST's id and digest. Raise Unprintable."""
    version = rendering.FIRST if stated.handover.place is None else rendering.NEWEST
    data = _common(ctx, settings, stated) | (_first(stated) if version == rendering.FIRST else _newest(ctx, stated))
    pdf = rendering.render(NAME, data, banner=settings.banner, version=version)
    return issued_papers.Made(issued_papers.template_of(NAME, version), stated.handover.digest, pdf, filename(stated.handover))


def check(ctx: Context, settings: Settings, stated: Stated) -> None:
    """Raise Unprintable if the paper cannot be made. Of its cards, whose numbers are plain ASCII, one stands for all."""
    make(ctx, settings, replace(stated, cards=stated.cards[:1], rows=stated.rows[:1]))


def stored(ctx: Context, settings: Settings, store: FileStore, handover: Handover) -> bytes:
    """Return the paper as it was issued. One from before papers were stored is made as it was then.

    Raise Unavailable for a large one that the worker has not made yet.
    """
    found = issued_papers.find_paper(ctx.session, HANDOVER.kind, handover.id)
    if found is not None:
        return store.get(ctx.session, found.document.sha256)
    if handover.place is not None:
        raise Unavailable("This BAST has many cards. Its paper is being made: try again in a minute.", type="paper-being-made")
    return make(ctx, settings, stated_of(ctx, handover)).pdf


def print_file(ctx: Context, settings: Settings, store: FileStore, handovers: Sequence[Handover]) -> bytes:
    """Return the papers of several BASTs, as they were issued, as one PDF to be printed. Raise Unavailable as `stored` does."""
    numbers = ", ".join(handover.number for handover in handovers)
    return joined([stored(ctx, settings, store, handover) for handover in handovers], f"Cetak BAST {numbers}")


def filename(handover: Handover) -> str:
    """Return the name of the file, such as `BAST-400.8-0007-BAST-SAM-XI-2026.pdf`."""
    return f"BAST-{handover.number.replace('/', '-')}.pdf"


def _common(ctx: Context, settings: Settings, stated: Stated) -> dict[str, Any]:
    handover, url = stated.handover, f"{settings.public_url}/verifikasi"
    zone = indonesian.zone_of(stated.issuer.region_code)
    day = handover.issued_at.astimezone(zone)
    return {
        "title": f"BAST {handover.number}",
        "number": handover.number,
        "date": {"year": day.year, "month": day.month, "day": day.day},
        "spoken_date": indonesian.spoken_date(day.date()),
        "time": indonesian.local_time(handover.issued_at, zone),
        "count": len(handover.cards) or len(stated.cards),
        "count_words": indonesian.words(len(handover.cards) or len(stated.cards)),
        "notes": handover.notes,
        "digest": handover.digest,
        "log": checkpoints.printed(ctx.session, handover.issued_at),
        "url": url,
        "qr": rendering.qr_svg(f"{url}?bast={handover.id}&sha256={handover.digest}"),
    }


def _first(stated: Stated) -> dict[str, Any]:
    own_paper = stated.issuer.kind == OrganisationKind.MANUFACTURER
    return {
        **({"letterhead": [stated.issuer.name.upper()]} if own_paper else {}),
        "issuer": {"name": stated.issuer.name},
        "receiver": {"name": stated.receiver.name},
        "cards": [
            {"no": number, "uid": indonesian.uid_pairs(card.uid), "function": card.function, "kcv": card.kcv}
            for number, card in enumerate(stated.cards, start=1)
        ],
    }


def _newest(ctx: Context, stated: Stated) -> dict[str, Any]:
    day = stated.handover.issued_at.astimezone(indonesian.zone_of(stated.issuer.region_code))
    return {
        "short_date": indonesian.short_date(day.date()),
        "place": stated.handover.place,
        "returned": stated.handover.kind == HandoverKind.RETURN,
        "reason": REASONS[ReturnReason(stated.handover.reason)] if stated.handover.reason else "",
        "letterhead": letterhead(ctx.session, stated.issuer),
        "issuer": side_of(stated.issuer, stated.signatories.get(Side.ISSUER)),
        "receiver": side_of(stated.receiver, stated.signatories.get(Side.RECEIVER)),
        "letters": [
            {"no": number, "number": letter.number, "date": indonesian.long_date(letter.day), "sender": letter.sender}
            for number, letter in enumerate(stated.letters, start=1)
        ],
        "cards": [
            {
                "no": number,
                "uid": indonesian.uid_pairs(card.uid),
                "machine": row.machine or "-",
                "function": card.function,
                "seal": row.pcid_seal or "-",
                "kcv": card.kcv or "-",
            }
            for number, (card, row) in enumerate(zip(stated.cards, stated.rows, strict=True), start=1)
        ],
    }


def side_of(organisation: Organisation, person: HandoverSignatory | DiscrepancySignatory | None) -> dict[str, Any]:
    """Return one side of a paper: the organisation and who signs for it. Without a person the paper has lines to be filled in by hand."""
    if person is None:
        return {"name": organisation.name, "person": None}
    kind = ID_WORDS[IdKind(person.id_kind)]
    told = {"name": person.name, "kind": kind, "number": person.id_number, "identity": f"{kind} {person.id_number}"}
    return {"name": organisation.name, "person": told | {"position": person.position}}


def register_paper() -> None:
    """Register the BAST on the public verification page, so that whoever holds one can look it up."""
    issued_papers.register("bast", issued_papers.Kind(_("Handover of SAM cards (BAST)"), HANDOVER.kind, _paper))


def _paper(session: Session, handover_id: UUID) -> issued_papers.Paper | None:
    found = session.get(Handover, handover_id)
    if found is None:
        return None
    cards = select(Card.uid).join(HandoverCard, HandoverCard.card_id == Card.id).where(HandoverCard.handover_id == found.id)
    state = HandoverState(found.state)
    return issued_papers.Paper(
        digest=found.digest,
        number=found.number,
        at=found.issued_at,
        state=state,
        parties=((_("From"), found.issuer.name), (_("To"), found.receiver.name)),
        cards=list(session.scalars(cards.order_by(HandoverCard.position))),
        fate=FATES[state],
        counts=state in (HandoverState.ISSUED, *RECEIPTS),
        moved_at=found.changed_at,
    )
