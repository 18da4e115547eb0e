"""Why an entry does not fit its place: it was edited, or stands where another stood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sifilma.audit.findings import Fault, Report
from sifilma.audit.leaf import leaf_bytes
from sifilma.audit.tree import leaf_hash

COMPARED = 50
"""How many misfits are tried against each other's places."""


@dataclass(frozen=True)
class Misfit:
    """An entry (by column) that is not what its place (with this hash) was made from."""

    seq: int
    entry: Mapping[str, Any]
    hash: bytes


def explain(misfits: Sequence[Misfit], report: Report) -> None:
    """Name what happened to each. A leaf holds its place, so an entry that was moved is recognised by the place it was logged at."""
    origins = {misfit.seq: _origin(misfit, misfits) for misfit in misfits}
    moved = {seq: origin for seq, origin in origins.items() if origin is not None}
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
        elif misfit.seq - origin != previous:  # said once for all that follow
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
    """The place an entry was logged at, as far as its neighbours and the other misfits tell."""
    hashes = {other.seq: other.hash for other in others[:COMPARED]}
    for place in (misfit.seq - 1, misfit.seq + 1, *hashes):
        if place >= 0 and place != misfit.seq and leaf_hash(leaf_bytes(place, misfit.entry)) in (misfit.hash, hashes.get(place)):
            return place
    return None
