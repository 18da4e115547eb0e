"""Invariants of batches: their numbers agree, from the letter to the last card."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer, cast, func, select

from sifilma.approvals.four_eyes import content_digest
from sifilma.fsck.dialects import bare, dashed, fact
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot, broken

_GOOD = "(SELECT COUNT(*) FROM personalisation_result r WHERE r.personalisation_request_id = q.id AND r.outcome = 'personalised')"


@in_snapshot("batch-conserved", "As many cards as were ever registered for a request are there, over all states.")
def conserved(now: Snapshot) -> Found:
    """Compare the number of cards with the number that the audit entries counted."""
    asked, entry, card = bare("personalisation_request"), bare("audit_entry"), bare("card")
    registered = (
        select(func.coalesce(func.sum(cast(fact(entry.c.data, "count"), Integer)), 0))
        .where(entry.c.object_kind == "personalisation_request", entry.c.object_id == dashed(asked.c.id))
        .where(entry.c.action == "card.register")
        .scalar_subquery()
    )
    there = select(func.count()).where(card.c.personalisation_request_id == asked.c.id).scalar_subquery()
    return now.find(
        "personalisation_request",
        select(asked.c.id, registered.label("registered"), there.label("cards")).where(registered != there),
        "has {cards} cards over all states, {registered} were registered",
    )


@in_snapshot("batch-quantity", "Never more cards are personalised than were approved, and exactly so many when it is completed.")
def quantity(now: Snapshot) -> Found:
    """Compare the number of personalised cards with the approved quantity. Failed cards are replaced and do not count."""
    yield from now.find(
        "personalisation_request",
        f"SELECT q.id, q.state, q.quantity, {_GOOD} AS good FROM personalisation_request q WHERE {_GOOD} > q.quantity"
        f" OR (q.state = 'completed') <> ({_GOOD} = q.quantity)",
        "is {state} with {good} personalised cards of {quantity}",
    )


@in_snapshot("batch-rows", "What is submitted names as many rows, or cards, as it counts.")
def rows(now: Snapshot) -> Found:
    """Compare the rows of a batch with its quantity, and the cards of an activation request with its machines."""
    yield from now.find(
        "personalisation_request",
        "SELECT q.id, q.quantity, COUNT(b.id) AS given FROM personalisation_request q LEFT JOIN batch_row b"
        " ON b.personalisation_request_id = q.id WHERE q.batch_document_id IS NOT NULL AND q.state NOT IN ('draft', 'returned')"
        " AND NOT (q.state = 'cancelled' AND EXISTS (SELECT 1 FROM job j WHERE j.subject_id = q.id AND j.kind = 'intake'"
        " AND j.document_id = q.batch_document_id AND (j.state <> 'completed' OR j.failed > 0)))"
        " GROUP BY q.id, q.quantity HAVING COUNT(b.id) <> q.quantity",
        "counts {quantity} cards, its batch has {given} rows",
    )
    yield from now.find(
        "personalisation_request",
        "SELECT q.id, j.done, j.failed, j.state, COUNT(b.id) AS given FROM personalisation_request q JOIN job j ON j.subject_id = q.id"
        " AND j.document_id = q.batch_document_id AND j.kind = 'intake' LEFT JOIN batch_row b ON b.personalisation_request_id = q.id"
        " WHERE q.state IN ('draft', 'returned') AND j.state IN ('running', 'completed')"
        " GROUP BY q.id, j.id, j.done, j.failed, j.state"
        " HAVING COUNT(b.id) <> j.done - j.failed AND NOT (COUNT(b.id) = 0 AND j.failed > 0)",
        "has {given} rows of a batch of which {done} are taken in, {failed} of them refused",
    )
    yield from now.find(
        "activation_request",
        "SELECT r.id, r.machines, COUNT(k.card_id) AS cards FROM activation_request r LEFT JOIN activation_request_card k"
        " ON k.activation_request_id = r.id WHERE r.state NOT IN ('draft', 'returned') GROUP BY r.id, r.machines"
        " HAVING COUNT(k.card_id) <> r.machines",
        "counts {machines} machines and names {cards} cards",
    )


@in_snapshot("replaced-cards", "A request that replaces cards names as many as it asks for, each of its buyer, out of use, in one request.")
def replaced(now: Snapshot) -> Found:
    """Compare the cards that a request replaces with the request. What is rejected or cancelled replaces nothing."""
    counts = "p.state NOT IN ('draft', 'returned', 'rejected', 'cancelled')"
    yield from now.find(
        "personalisation_request",
        "SELECT p.id, p.quantity, COUNT(r.card_id) AS cards FROM personalisation_request p JOIN personalisation_replaced r"
        f" ON r.personalisation_request_id = p.id WHERE {counts} GROUP BY p.id, p.quantity HAVING COUNT(r.card_id) <> p.quantity",
        "asks for {quantity} cards and replaces {cards}",
    )
    yield from now.find(
        "personalisation_request",
        "SELECT p.id, c.uid, c.state FROM personalisation_request p JOIN personalisation_replaced r ON r.personalisation_request_id = p.id"
        " JOIN card c ON c.id = r.card_id WHERE p.state NOT IN ('rejected', 'cancelled') AND (c.buyer_id <> p.buyer_id"
        " OR c.function <> p.function OR NOT EXISTS (SELECT 1 FROM history y WHERE y.object_kind = 'card' AND y.object_id = c.id"
        " AND y.to_state IN ('damaged', 'locked', 'lost')))",
        "replaces {uid}, which is another buyer's or function's, or never was out of use",
    )
    yield from now.find(
        "card",
        "SELECT r.card_id AS id, COUNT(*) AS requests FROM personalisation_replaced r JOIN personalisation_request p"
        " ON p.id = r.personalisation_request_id WHERE p.state NOT IN ('rejected', 'cancelled') GROUP BY r.card_id HAVING COUNT(*) > 1",
        "is replaced by {requests} requests",
    )


@in_snapshot("batch-results", "A card was personalised exactly when its result says so.")
def results(now: Snapshot) -> Found:
    """Compare the card's step with the result, in both directions."""
    step = (
        "SELECT 1 FROM history h WHERE h.object_kind = 'card' AND h.object_id = c.id"
        " AND h.from_state = 'registered' AND h.to_state = 'personalised'"
    )
    result = "SELECT 1 FROM personalisation_result r WHERE r.card_id = c.id AND r.outcome = 'personalised'"
    yield from now.find(
        "card",
        f"SELECT c.id, c.uid FROM card c WHERE EXISTS ({step}) AND NOT EXISTS ({result})",
        "({uid}) was personalised without a result",
    )
    yield from now.find(
        "card",
        f"SELECT c.id, c.uid FROM card c WHERE EXISTS ({result}) AND NOT EXISTS ({step})",
        "({uid}) has a result, but was never personalised",
    )


@in_snapshot("request-closed", "A request is closed with a remainder by two persons, and nothing of it is made afterwards.")
def closed(now: Snapshot) -> Found:
    """Compare closed requests with the proposals, the remainder with the cards that are not made."""
    executed = "SELECT 1 FROM personalisation_closing c WHERE c.personalisation_request_id = q.id AND c.state = 'executed'"
    yield from now.find(
        "personalisation_request",
        f"SELECT q.id, q.state FROM personalisation_request q WHERE (q.state = 'closed') <> EXISTS ({executed})",
        "is {state}, the proposal to close it says otherwise",
    )
    yield from now.find(
        "personalisation_closing",
        f"SELECT c.id, c.remainder, q.quantity, {_GOOD} AS good FROM personalisation_closing c JOIN personalisation_request q"
        f" ON q.id = c.personalisation_request_id WHERE c.state = 'executed' AND c.remainder <> q.quantity - {_GOOD}",
        "states a remainder of {remainder}, {good} of {quantity} are made",
    )
    yield from now.find(
        "card",
        "SELECT k.id, k.uid FROM card k JOIN personalisation_request q ON q.id = k.personalisation_request_id"
        " WHERE q.state = 'closed' AND k.state = 'registered'",
        "({uid}) waits to be made, and its request is closed",
    )


@in_snapshot("blank-balance", "Blank SAMs balance: as many as were delivered are left, issued, personalised, failed or withdrawn.")
def balance(now: Snapshot) -> Found:
    """Compare each delivery with its blanks, and each blank with the result of its card, in both directions."""
    yield from now.find(
        "blank_delivery",
        "SELECT d.id, d.count, COUNT(b.id) AS blanks FROM blank_delivery d LEFT JOIN blank_card b ON b.delivery_id = d.id"
        " GROUP BY d.id, d.count HAVING COUNT(b.id) <> d.count",
        "counts {count} blanks, {blanks} are there",
    )
    yield from now.find(
        "blank_card",
        "SELECT b.id, b.uid, b.state FROM blank_card b JOIN blank_delivery d ON d.id = b.delivery_id"
        " WHERE d.state = 'cancelled' AND b.state <> 'withdrawn'",
        "({uid}) is {state}, and its delivery is cancelled",
    )
    yield from now.find(
        "blank_card",
        "SELECT b.id, b.uid, b.state FROM blank_card b LEFT JOIN card c ON c.uid = b.uid LEFT JOIN personalisation_result r"
        " ON r.card_id = c.id WHERE b.state <> 'withdrawn' AND (COALESCE(r.outcome, '') <> CASE WHEN b.state IN ('personalised', 'failed')"
        " THEN b.state ELSE '' END OR r.personalisation_request_id <> b.personalisation_request_id)",
        "({uid}) is {state}, the result of its card says otherwise",
    )
    yield from now.find(
        "blank_card",
        "SELECT b.id, b.uid FROM blank_card b JOIN personalisation_request q ON q.id = b.personalisation_request_id"
        " WHERE b.state = 'issued' AND q.state NOT IN ('approved', 'personalising', 'completed')",
        "({uid}) is issued for a request that is not being made",
    )
    yield from _uids(now)


def _uids(now: Snapshot) -> Found:
    delivery, blank = bare("blank_delivery"), bare("blank_card")
    listed: dict[Any, list[str]] = {}
    for row in now.rows(select(blank.c.delivery_id, blank.c.uid).order_by(blank.c.delivery_id, blank.c.position)):
        listed.setdefault(row.delivery_id, []).append(row.uid)
    for row in now.rows(select(delivery.c.id, delivery.c.cards_sha256)):
        if content_digest({"cards": listed.get(row.id, [])}) != row.cards_sha256:
            yield broken("blank_delivery", row.id, "has other UIDs than were recorded: the digest differs")
