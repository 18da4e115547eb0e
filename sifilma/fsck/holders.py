"""Invariants of the chain of custody: who held a card, from the directorate on."""

from __future__ import annotations

from sqlalchemy import select

from sifilma.approvals.four_eyes import content_digest
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import FIRST, Snapshot, broken
from sifilma.handover.models import Handover
from sifilma.handover.queries import stated_of
from sifilma.handover.service import content

# _RECEIVED: the received handovers with their cards. _CHAIN: each with the receiver of the card's handover before it.
_RECEIVED = (
    "SELECT k.card_id, h.issuer_id, h.receiver_id, y.id AS moment FROM handover_card k JOIN handover h ON h.id = k.handover_id"
    " JOIN history y ON y.object_kind = 'handover' AND y.object_id = h.id AND y.to_state = 'received'"
)
_CHAIN = (
    "SELECT s.card_id, s.issuer_id, s.receiver_id, LAG(s.receiver_id) OVER (PARTITION BY s.card_id ORDER BY s.moment) AS before,"
    f" LEAD(s.moment) OVER (PARTITION BY s.card_id ORDER BY s.moment) AS later FROM ({_RECEIVED}) s"
)
_DIRECTORATE = "(SELECT o.id FROM organisation o WHERE o.kind = 'directorate')"


@in_snapshot("holder-chain", "The chain of holders of a card has no gap: it begins at the directorate and ends at the holder.")
def chain(now: Snapshot) -> Found:
    """Check that each received handover was issued by the organisation that had received the card before."""
    yield from now.find(
        "card",
        f"SELECT w.card_id AS id FROM ({_CHAIN}) w WHERE (w.before IS NULL AND w.issuer_id NOT IN {_DIRECTORATE})"
        " OR (w.before IS NOT NULL AND w.before <> w.issuer_id)",
        "was handed over by an organisation that did not hold it",
    )
    yield from now.find(
        "card",
        f"SELECT c.id, c.uid FROM card c JOIN ({_CHAIN}) w ON w.card_id = c.id WHERE w.later IS NULL AND c.holder_id <> w.receiver_id",
        "({uid}) is not held by the last organisation that received it",
    )
    yield from now.find(
        "card",
        f"SELECT c.id, c.uid FROM card c WHERE c.holder_id NOT IN {_DIRECTORATE}"
        " AND NOT EXISTS (SELECT 1 FROM handover_card k JOIN handover h ON h.id = k.handover_id"
        " WHERE k.card_id = c.id AND h.state = 'received')",
        "({uid}) is held by an organisation that never received it",
    )


@in_snapshot("holder-on-the-way", "A card that is handed over is in exactly one open handover.")
def on_the_way(now: Snapshot) -> Found:
    """Check cards in the state handed over. A card that broke on its way is not in this state any more."""
    return now.find(
        "card",
        "SELECT c.id, c.uid, (SELECT COUNT(*) FROM handover_card k JOIN handover h ON h.id = k.handover_id WHERE k.card_id = c.id"
        " AND h.state = 'issued') AS papers FROM card c WHERE c.state = 'handed_over' AND 1 <> (SELECT COUNT(*) FROM handover_card k"
        " JOIN handover h ON h.id = k.handover_id WHERE k.card_id = c.id AND h.state = 'issued')",
        "({uid}) is handed over with {papers} open handovers",
    )


@in_snapshot("handover-digest", "The digest of a BAST is that of what its rows say.")
def digest(now: Snapshot) -> Found:
    """Compute the digest of each BAST again from its rows, as when it was issued."""
    ctx = now.context()
    after = FIRST
    while rows := list(ctx.session.scalars(select(Handover).where(Handover.id > after).order_by(Handover.id).limit(100))):
        for handover in rows:
            if content_digest(content(stated_of(ctx, handover))) != handover.digest:
                yield broken("handover", handover.id, "does not say what its digest says")
        after = rows[-1].id
        ctx.session.expunge_all()
    ctx.uow.close()
