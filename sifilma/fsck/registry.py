"""The registry of invariants. Themes register theirs when they are imported (`sifilma.fsck.catalogue`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from sifilma.fsck.snapshot import Broken, Outside, Snapshot

Found = Iterator[Broken]
T = TypeVar("T", Snapshot, Outside)


class Needs(StrEnum):
    """What a check reads: one moment of the database, or, without an open transaction, stored files or the HSM."""

    SNAPSHOT = "snapshot"
    FILES = "files"
    HSM = "hsm"


@dataclass(frozen=True)
class Invariant:
    """One statement that must always be true. `check` yields every object for which it is not."""

    name: str
    sentence: str
    needs: Needs
    check: Callable[[Snapshot], Found] | Callable[[Outside], Found]


_invariants: dict[str, Invariant] = {}


def in_snapshot(name: str, sentence: str) -> Callable[[Callable[[Snapshot], Found]], Callable[[Snapshot], Found]]:
    """Register a check of one moment of the database. A reading transaction is open then, so the HSM must not be called."""
    return _register(name, sentence, Needs.SNAPSHOT)


def outside(name: str, sentence: str, needs: Needs) -> Callable[[Callable[[Outside], Found]], Callable[[Outside], Found]]:
    """Register a check of rows that never change. They are read in batches and checked without an open transaction."""
    return _register(name, sentence, needs)


def _register(name: str, sentence: str, needs: Needs) -> Callable[[Callable[[T], Found]], Callable[[T], Found]]:
    def keep(check: Callable[[T], Found]) -> Callable[[T], Found]:
        if name in _invariants:
            raise ValueError(f"two invariants are called {name}")
        _invariants[name] = Invariant(name, sentence, needs, check)
        return check

    return keep


def invariants() -> list[Invariant]:
    """Return every registered invariant, in the order of registration."""
    return list(_invariants.values())
