"""Tell why an entry does not match its place in the log: it was edited, or it was logged at another place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sifilma.audit.findings import Fault, Report
from sifilma.audit.leaf import leaf_bytes
from sifilma.audit.store import Row
from sifilma.audit.tree import leaf_hash

COMPARED = 50
"""How many misfits are compared with each other's places. It bounds the work, which is quadratic."""


@dataclass(frozen=True)
class Misfit:
    """An entry (its columns by name) whose leaf does not have the hash that is stored at its place."""

    seq: int
    entry: Row
    hash: bytes


def explain(misfits: Sequence[Misfit], report: Report) -> None:
    """Add a finding for each misfit. A leaf contains its place, so a moved entry is recognised by the place it was logged at."""
    origins = {misfit.seq: _origin(misfit, misfits) for misfit in misfits}
    moved = {seq: origin for seq, origin in origins.items() if origin is not None}
    # Entries that only changed places among each other were reordered. Otherwise an insertion or a deletion shifted all that follow.
    swapped = set(moved) == set(moved.values())
    previous = 0
    for misfit in misfits:
        origin = moved.get(misfit.seq)
        if origin is None:
            told = f"entry {misfit.entry['id']} ({misfit.entry['action']}) at place {misfit.seq} is not what was logged there"
            report.add(Fault.EDITED, told, misfit.seq, misfit.entry["id"])
        elif swapped:
            told = f"entry {misfit.entry['id']} stands at place {misfit.seq}, but was logged at place {origin}"
            report.add(Fault.REORDERED, told, misfit.seq, misfit.entry["id"])
        elif misfit.seq - origin != previous:  # reported once for all entries with the same shift
            previous = misfit.seq - origin
            _tell_shift(misfit, origin, report)


def _tell_shift(misfit: Misfit, origin: int, report: Report) -> None:
    if misfit.seq > origin:
        told = f"from place {misfit.seq} on, entries stand {misfit.seq - origin} later than they were logged: place {origin} was inserted"
        report.add(Fault.INSERTED, told, origin)
    else:
        told = (
            f"from place {misfit.seq} on, entries stand {origin - misfit.seq} earlier than they were logged: what stood there was taken out"
        )
        report.add(Fault.DELETED, told, misfit.seq)


def _origin(misfit: Misfit, others: Sequence[Misfit]) -> int | None:
    """Return the place at which an entry was logged, if it is next to its present place or that of another misfit."""
    hashes = {other.seq: other.hash for other in others[:COMPARED]}
    for place in (misfit.seq - 1, misfit.seq + 1, *hashes):
        if place >= 0 and place != misfit.seq and leaf_hash(leaf_bytes(place, misfit.entry)) in (misfit.hash, hashes.get(place)):
            return place
    return None
