"""Invariants of destructions: nothing is destroyed without a complete Berita Acara."""

from __future__ import annotations

from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot

_DONE = "('executed', 'verified')"


@in_snapshot("destroyed-with-record", "A card is destroyed only by an executed destruction that names it.")
def with_record(now: Snapshot) -> Found:
    """Check also that an executed destruction has destroyed each of its cards."""
    yield from now.find(
        "card",
        "SELECT c.id, c.uid FROM card c WHERE c.state = 'destroyed' AND NOT EXISTS (SELECT 1 FROM destruction d"
        f" JOIN destruction_card k ON k.destruction_id = d.id WHERE k.card_id = c.id AND d.state IN {_DONE})",
        "({uid}) is destroyed, and no executed destruction names it",
    )
    yield from now.find(
        "destruction",
        "SELECT d.id, c.uid, c.state FROM destruction d JOIN destruction_card k ON k.destruction_id = d.id JOIN card c ON c.id = k.card_id"
        f" WHERE d.state IN {_DONE} AND c.state <> 'destroyed'",
        "is executed, but its card {uid} is {state}",
    )


@in_snapshot("record-complete", "An executed destruction has a complete Berita Acara: facts, official, witnesses, photos.")
def record_complete(now: Snapshot) -> Found:
    """Check the columns, and that there are two witnesses, neither of them the official, and a photo."""
    columns = (
        "number",
        "place",
        "executed_at",
        "method",
        "official_name",
        "official_id_kind",
        "official_id_number",
        "official_position",
        "record_digest",
        "recorded_by_person",
    )
    for column in columns:
        yield from now.find(
            "destruction", f"SELECT id FROM destruction WHERE state IN {_DONE} AND {column} IS NULL", f"is executed without its {column}"
        )
    yield from now.find(
        "destruction",
        "SELECT d.id, (SELECT COUNT(*) FROM destruction_witness w WHERE w.destruction_id = d.id AND NOT (w.id_kind = d.official_id_kind"
        f" AND w.id_number = d.official_id_number)) AS witnesses FROM destruction d WHERE d.state IN {_DONE} AND (SELECT COUNT(*)"
        " FROM destruction_witness w WHERE w.destruction_id = d.id AND NOT (w.id_kind = d.official_id_kind"
        " AND w.id_number = d.official_id_number)) < 2",
        "is executed before {witnesses} witnesses, two are needed",
    )
    yield from now.find(
        "destruction",
        f"SELECT d.id FROM destruction d WHERE d.state IN {_DONE} AND NOT EXISTS (SELECT 1 FROM destruction_photo f"
        " WHERE f.destruction_id = d.id)",
        "is executed without a photo",
    )


@in_snapshot("record-after-approval", "A destruction is executed after it was approved, and verified by a person of its own.")
def after_approval(now: Snapshot) -> Found:
    """Check the order of the moments, and that the verifier neither proposed nor recorded it."""
    yield from now.find(
        "destruction",
        f"SELECT d.id FROM destruction d WHERE d.state IN {_DONE} AND d.executed_at < (SELECT MAX(a.at) FROM destruction_approval a"
        " WHERE a.destruction_id = d.id)",
        "was executed before it was approved",
    )
    yield from now.find(
        "destruction",
        "SELECT id FROM destruction WHERE state = 'verified' AND (verified_by_person IS NULL OR verified_by_person = submitted_by_person"
        " OR verified_by_person = recorded_by_person)",
        "was verified by nobody, or by the person who proposed or recorded it",
    )
