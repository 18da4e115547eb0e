"""The invariants there are. Themes register theirs when they are imported (`sifilma.fsck.catalogue`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from sifilma.fsck.snapshot import Broken, Outside, Snapshot

Found = Iterator[Broken]
T = TypeVar("T", Snapshot, Outside)


class Needs(StrEnum):
    """What a check looks at: one moment of the database, or, with no transaction open, stored files or the HSM."""

    SNAPSHOT = "snapshot"
    FILES = "files"
    HSM = "hsm"


@dataclass(frozen=True)
class Invariant:
    """One sentence that is always true, and how to see whether it is. `check` gives every object for which it is not."""

    name: str
    sentence: str
    needs: Needs
    check: Callable[[Snapshot], Found] | Callable[[Outside], Found]


_invariants: dict[str, Invariant] = {}


def in_snapshot(name: str, sentence: str) -> Callable[[Callable[[Snapshot], Found]], Callable[[Snapshot], Found]]:
    """Register a check of one moment of the database: a reading transaction is open, the HSM is out of reach."""
    return _register(name, sentence, Needs.SNAPSHOT)


def outside(name: str, sentence: str, needs: Needs) -> Callable[[Callable[[Outside], Found]], Callable[[Outside], Found]]:
    """Register a check of what never changes once stored: read in batches, looked at with no transaction open."""
    return _register(name, sentence, needs)


def _register(name: str, sentence: str, needs: Needs) -> Callable[[Callable[[T], Found]], Callable[[T], Found]]:
    def keep(check: Callable[[T], Found]) -> Callable[[T], Found]:
        if name in _invariants:
            raise ValueError(f"two invariants are called {name}")
        _invariants[name] = Invariant(name, sentence, needs, check)
        return check

    return keep


def invariants() -> list[Invariant]:
    """Every registered invariant, theme by theme."""
    return list(_invariants.values())
