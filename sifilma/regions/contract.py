"""What every source of geometry answers: village points and boundary layers alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Located:
    """What lies at a position: the regency, and the nearest village's code if the source knows villages."""

    regency: str
    village: str | None
    distance_m: int


@dataclass(frozen=True)
class Measured:
    """What a source measures: metres to the stated regency and to the nearest one, and whether the point is on its land."""

    claimed_m: float
    nearest_m: float
    nearest: str
    on_land: bool


class Source(Protocol):
    """A source of geometry. `name` and `sha256` are recorded with each activation."""

    name: str
    sha256: str

    def measure(self, latitude: float, longitude: float, regency: str) -> Measured:
        """Return the distances from the point. Raise Invalid (field region_code) for a regency the source does not know."""
        ...

    def locate(self, latitude: float, longitude: float) -> Located:
        """Return what lies at the position or nearest to it."""
        ...
