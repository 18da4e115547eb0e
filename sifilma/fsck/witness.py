"""Invariants of what is told to a witness: the row of statements has no gap, and nothing was given out that is not reserved."""

from __future__ import annotations

from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Snapshot


@in_snapshot("witness-row", "The statements for the witness are a row without a gap, told in their order.")
def row(now: Snapshot) -> Found:
    """Look for statements that follow none, and for told ones after untold ones."""
    yield from now.find(
        "witness_statement",
        "SELECT s.number AS id FROM witness_statement s WHERE s.number > 1"
        " AND NOT EXISTS (SELECT 1 FROM witness_statement b WHERE b.number = s.number - 1)",
        "follows no statement",
    )
    yield from now.find(
        "witness_statement",
        "SELECT s.number AS id FROM witness_statement s WHERE s.told_at IS NULL"
        " AND EXISTS (SELECT 1 FROM witness_statement a WHERE a.number = s.number + 1 AND a.told_at IS NOT NULL)",
        "was not told, and the next one was",
    )
    yield from now.find(
        "witness_statement",
        "SELECT number AS id FROM witness_statement WHERE told_at IS NULL AND content IS NULL",
        "is to be told and has no content",
    )


@in_snapshot("witness-reserved", "No number of a counter that has a witness was given out beyond what is reserved and told.")
def reserved(now: Snapshot) -> Found:
    """Compare status lists and their publications with their counters."""
    yield from now.find(
        "status_list",
        "SELECT l.number AS id, l.next_index, r.told FROM status_list l"
        " JOIN reserved_number r ON r.name = 'status-list/' || l.number WHERE l.next_index > r.told",
        "has given out {next_index} indexes, and the witness knows {told}",
    )
    yield from now.find(
        "status_list",
        "SELECT p.number AS id, p.seq, r.told FROM published_status_list p"
        " JOIN reserved_number r ON r.name = 'status-sequence/' || p.number WHERE p.seq > r.told",
        "has publication {seq}, and the witness knows {told}",
    )
    yield from now.find(
        "reserved_number", "SELECT name AS id, reserved, told FROM reserved_number WHERE told > reserved", "has told {told} of {reserved}"
    )
