"""Which source of geometry is in force."""

from __future__ import annotations

from pathlib import Path

from sifilma.regions import boundaries, villages
from sifilma.regions.place import PlaceCheck


def place_check(home: Path) -> PlaceCheck:
    """The check in force: the boundary layer an operator imported under `home`, else village points."""
    return PlaceCheck(boundaries.imported(home) or villages.points())
