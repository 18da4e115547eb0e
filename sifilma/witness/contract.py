"""The contract of a witness: an append-only row of statements, numbered from 1, on a disk or host that is not restored with this one."""

from __future__ import annotations

from typing import Protocol

SECONDS = 3.0
"""How long one call of a witness may take: after it the witness is away."""


AGAIN = 10.0
"""Seconds for which requests do not ask a witness again that was away."""


class WitnessAway(Exception):
    """The witness cannot be reached, or does not answer in time. What was to be appended may or may not be there."""


class WitnessDiffers(Exception):
    """The witness holds other content under this number, or lacks the statements before it. Nothing was appended."""


class Witness(Protocol):
    """Keeps statements. It cannot make them: it has no key of this installation."""

    def count(self) -> int:
        """Return how many statements there are. Raise WitnessAway."""
        ...

    def read(self, number: int) -> bytes:
        """Return a statement. Raise WitnessDiffers if there is none of this number, WitnessAway."""
        ...

    def append(self, number: int, content: bytes) -> None:
        """Keep a statement; it is durable when this returns. The same content under its number again changes nothing.

        Raise WitnessDiffers for other content under a number, or a number that is not the next; WitnessAway.
        """
        ...
