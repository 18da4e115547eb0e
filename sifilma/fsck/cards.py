"""Invariants of cards and the machines they are in."""

from __future__ import annotations

from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot


@in_snapshot("card-one-per-unit", "A unit has at most one living card, of its own function.")
def one_per_unit(now: Snapshot) -> Found:
    """Check also that an active card is in a unit."""
    yield from now.find(
        "unit",
        "SELECT unit_id AS id, COUNT(*) AS cards FROM card WHERE unit_id IS NOT NULL"
        " AND state NOT IN ('damaged', 'locked', 'revoked', 'destroyed') GROUP BY unit_id HAVING COUNT(*) > 1",
        "has {cards} living cards",
    )
    yield from now.find("card", "SELECT id, uid FROM card WHERE state = 'active' AND unit_id IS NULL", "({uid}) is active in no unit")
    yield from now.find(
        "card",
        "SELECT c.id, c.uid, c.function, u.function AS of_unit FROM card c JOIN unit u ON u.id = c.unit_id WHERE c.function <> u.function",
        "({uid}) is for {function}, its unit for {of_unit}",
    )


@in_snapshot("card-in-its-unit", "An active card stands in the unit of its newest activation.")
def in_its_unit(now: Snapshot) -> Found:
    """Compare the card's unit with that of the activation behind its active manifest."""
    return now.find(
        "card",
        "SELECT c.id, c.uid FROM card c JOIN manifest m ON m.card_id = c.id AND m.state = 'active' JOIN activation a"
        " ON a.id = m.activation_id WHERE c.state = 'active' AND (c.unit_id IS NULL OR a.unit_id <> c.unit_id)",
        "({uid}) is tied to another unit than its manifest opens",
    )


@in_snapshot("card-approved", "A card was born of an approved request, for its buyer and its function.")
def approved(now: Snapshot) -> Found:
    """Check that each card comes from an approved request with its buyer and function."""
    return now.find(
        "card",
        "SELECT c.id, c.uid FROM card c LEFT JOIN personalisation_request q ON q.id = c.personalisation_request_id"
        " AND q.function = c.function AND q.buyer_id = c.buyer_id AND q.state IN ('approved', 'personalising', 'completed')"
        " WHERE q.id IS NULL",
        "({uid}) was not born of an approved request of its buyer and function",
    )


@in_snapshot("card-result", "A card has the key check value of its result and, until its first activation, no unit that nobody named.")
def as_its_result(now: Snapshot) -> Found:
    """Compare with the result, and the tie with what the result or the batch names."""
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c JOIN personalisation_result r ON r.card_id = c.id WHERE c.kcv <> r.kcv",
        "({uid}) has another key check value than its result",
    )
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c JOIN unit u ON u.id = c.unit_id LEFT JOIN personalisation_result r ON r.card_id = c.id"
        " LEFT JOIN batch_row b ON b.personalisation_request_id = c.personalisation_request_id AND b.sam_uid = c.uid"
        " WHERE NOT EXISTS (SELECT 1 FROM activation a WHERE a.card_id = c.id)"
        " AND u.hardware_number <> COALESCE(NULLIF(r.hardware_number, ''), '-') AND (b.unit_id IS NULL OR b.unit_id <> u.id)",
        "({uid}) is tied to a unit that neither its result nor its batch names",
    )


# A history id orders steps better than their moments, which can be equal within one act.
_DESTROYED = "SELECT d.object_id AS card_id, d.id AS moment FROM history d WHERE d.object_kind = 'card' AND d.to_state = 'destroyed'"
_LATER = (
    ("token", "token", "o.card_id"),
    ("manifest", "manifest", "o.card_id"),
    ("handover", "handover_card", "o.card_id"),
    ("activation_request", "activation_request_card", "o.card_id"),
    ("destruction", "destruction_card", "o.card_id"),
)


@in_snapshot("card-destroyed-for-good", "A destroyed card never gets anything again.")
def destroyed_for_good(now: Snapshot) -> Found:
    """Check that no step, token, manifest, handover, request or destruction began after the card's destruction, and none is open."""
    yield from now.find(
        "card",
        f"SELECT d.card_id AS id, h.to_state FROM ({_DESTROYED}) d JOIN history h ON h.object_kind = 'card' AND h.object_id = d.card_id"
        " AND h.id > d.moment",
        "was destroyed, and became {to_state} afterwards",
    )
    for kind, table, card in _LATER:
        # The tables of cards (`handover_card` …) have no life of their own: the birth of their parent counts.
        key = "o.id" if kind == table else f"o.{kind}_id"
        yield from now.find(
            "card",
            f"SELECT {card} AS id FROM {table} o JOIN ({_DESTROYED}) d ON d.card_id = {card} JOIN history b ON b.object_kind = '{kind}'"
            f" AND b.object_id = {key} AND b.from_state = '' AND b.id > d.moment",
            f"was destroyed, and got a new {kind.replace('_', ' ')} afterwards",
        )
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c JOIN manifest m ON m.card_id = c.id WHERE c.state = 'destroyed'"
        " AND m.state IN ('active', 'suspended')",
        "({uid}) is destroyed, and its manifest stands",
    )


@in_snapshot("card-photo", "A photo of a card came with a report on that very card.")
def photo(now: Snapshot) -> Found:
    """Check that the photo's act is a report on the card."""
    return now.find(
        "card",
        "SELECT c.id, c.uid FROM card_photo p JOIN card c ON c.id = p.card_id JOIN document d ON d.id = p.document_id"
        " WHERE d.kind <> 'photo' OR NOT EXISTS (SELECT 1 FROM history h JOIN audit_entry e ON e.id = h.act_id"
        " WHERE h.act_id = p.act_id AND h.object_kind = 'card' AND h.object_id = p.card_id AND e.action = 'card.report')",
        "({uid}) has a photo that came with no report on it",
    )
