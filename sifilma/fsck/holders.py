"""Invariants of the chain of custody: who held a card, from the directorate on."""

from __future__ import annotations

from sqlalchemy import select

from sifilma.approvals.four_eyes import content_digest
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import FIRST, Snapshot, broken
from sifilma.handover.discrepancies.models import Discrepancy
from sifilma.handover.discrepancies.queries import differing_of
from sifilma.handover.discrepancies.service import content as stated_content
from sifilma.handover.models import Handover
from sifilma.handover.queries import stated_of
from sifilma.handover.service import content

# _RECEIVED: the received handovers with the cards that came. _CHAIN: each with the receiver of the card's handover before it.
_CAME = (
    "NOT EXISTS (SELECT 1 FROM discrepancy_card m WHERE m.handover_id = k.handover_id AND m.card_id = k.card_id"
    " AND m.state IN ('missing', 'found', 'sent_again', 'lost'))"
)
_RECEIVED = (
    "SELECT k.card_id, h.issuer_id, h.receiver_id, y.id AS moment FROM handover_card k JOIN handover h ON h.id = k.handover_id"
    " JOIN history y ON y.object_kind = 'handover' AND y.object_id = h.id AND y.to_state IN ('received', 'partly_received')"
    f" WHERE {_CAME}"
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
        f" WHERE k.card_id = c.id AND h.state IN ('received', 'partly_received') AND {_CAME})",
        "({uid}) is held by an organisation that never received it",
    )


_PAPERS = (
    "(SELECT COUNT(*) FROM handover_card k JOIN handover h ON h.id = k.handover_id WHERE k.card_id = c.id AND (h.state = 'issued'"
    " OR EXISTS (SELECT 1 FROM discrepancy_card m WHERE m.handover_id = h.id AND m.card_id = c.id AND m.state = 'missing')))"
)


@in_snapshot("holder-on-the-way", "A card that is handed over is in exactly one open handover, or missing from exactly one.")
def on_the_way(now: Snapshot) -> Found:
    """Check cards in the state handed over, and that no card is in two. A card that broke on its way is not in this state any more."""
    yield from now.find(
        "card",
        f"SELECT c.id, c.uid, {_PAPERS} AS papers FROM card c WHERE c.state = 'handed_over' AND 1 <> {_PAPERS}",
        "({uid}) is handed over with {papers} open handovers",
    )
    yield from now.find(
        "card",
        f"SELECT c.id, c.uid, {_PAPERS} AS papers FROM card c WHERE c.state IN ('damaged', 'locked', 'revoked') AND 1 < {_PAPERS}",
        "({uid}) goes back by {papers} open handovers",
    )


@in_snapshot(
    "discrepancy-cards", "A missing card waits with the issuer of its BAST; one that was declared lost is lost, or was broken before."
)
def discrepancies(now: Snapshot) -> Found:
    """Compare the rows of discrepancies with their BASTs and cards."""
    row = "FROM discrepancy_card m JOIN handover h ON h.id = m.handover_id JOIN card c ON c.id = m.card_id"
    yield from now.find(
        "discrepancy_card",
        f"SELECT m.id, c.uid, c.state {row} WHERE m.state = 'missing' AND (c.holder_id <> h.issuer_id"
        " OR c.state NOT IN ('handed_over', 'damaged', 'locked', 'revoked'))",
        "says that {uid} is missing, which is {state} or not with the issuer",
    )
    yield from now.find(
        "discrepancy_card",
        f"SELECT m.id, c.uid {row} WHERE m.state = 'lost' AND c.state NOT IN ('damaged', 'locked', 'revoked', 'destroyed')"
        " AND NOT EXISTS (SELECT 1 FROM history y WHERE y.object_kind = 'card' AND y.object_id = c.id AND y.to_state = 'lost'"
        " AND y.act_id = m.act_id)",
        "says that {uid} is lost, which never was by that act",
    )
    yield from now.find(
        "discrepancy_card",
        f"SELECT m.id, c.uid {row} WHERE NOT EXISTS (SELECT 1 FROM handover_card k WHERE k.handover_id = h.id AND k.card_id = c.id)",
        "names {uid}, which its BAST does not",
    )
    yield from now.find(
        "handover",
        "SELECT h.id, h.state FROM handover h WHERE (h.state = 'partly_received') <> EXISTS (SELECT 1 FROM discrepancy_card m"
        " WHERE m.handover_id = h.id AND m.state <> 'damaged')",
        "is {state}, and what is missing says otherwise",
    )


@in_snapshot("discrepancy-digest", "The digest of a discrepancy is that of what its rows said when they were recorded.")
def discrepancy_digest(now: Snapshot) -> Found:
    """Compute the digest of each discrepancy again from its rows. What became of the cards since is not part of it."""
    ctx = now.context()
    for found in ctx.session.scalars(select(Discrepancy).order_by(Discrepancy.handover_id)):
        if content_digest(stated_content(differing_of(ctx, found))) != found.digest:
            yield broken("discrepancy", found.handover_id, "does not say what its digest says")
    ctx.uow.close()


@in_snapshot("return-way-back", "Cards go back to their maker or to the directorate, and from nowhere else than a holder.")
def way_back(now: Snapshot) -> Found:
    """Compare receiver and issuer of each return with the kinds of organisations, and the receiver with the makers of its cards."""
    yield from now.find(
        "handover",
        "SELECT h.id FROM handover h JOIN organisation t ON t.id = h.receiver_id JOIN organisation f ON f.id = h.issuer_id"
        " WHERE h.kind = 'return' AND (f.kind = 'directorate' OR t.kind NOT IN ('directorate', 'manufacturer'))",
        "goes back to an organisation that neither made nor gave out cards",
    )
    yield from now.find(
        "handover",
        "SELECT h.id, c.uid FROM handover h JOIN organisation t ON t.id = h.receiver_id AND t.kind = 'manufacturer'"
        " JOIN handover_card k ON k.handover_id = h.id JOIN card c ON c.id = k.card_id"
        " JOIN personalisation_request q ON q.id = c.personalisation_request_id LEFT JOIN unit u ON u.id = c.unit_id"
        " LEFT JOIN device_model d ON d.id = u.model_id WHERE h.kind = 'return' AND q.requester_id <> t.id"
        " AND (d.manufacturer_id IS NULL OR d.manufacturer_id <> t.id)",
        "brings {uid} back to another manufacturer than made it",
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
