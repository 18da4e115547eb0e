"""Which source of geometry is in force."""

from __future__ import annotations

from pathlib import Path

from sifilma.regions import boundaries, villages
from sifilma.regions.place import PlaceCheck


def place_check(home: Path) -> PlaceCheck:
    """Return the check in use: over the boundary layer that an operator imported under `home`, else over village points."""
    return PlaceCheck(boundaries.imported(home) or villages.points())
