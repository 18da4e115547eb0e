"""Invariants of batches: their numbers agree, from the letter to the last card."""

from __future__ import annotations

from sqlalchemy import Integer, cast, func, select

from sifilma.fsck.dialects import bare, dashed, fact
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot

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
        " GROUP BY q.id, q.quantity HAVING COUNT(b.id) <> q.quantity",
        "counts {quantity} cards, its batch has {given} rows",
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
