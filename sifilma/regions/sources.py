"""Which source of geometry is in force, for the check of places and for the maps."""

from __future__ import annotations

from pathlib import Path

from sifilma.regions import base_map, boundaries, prepared, villages
from sifilma.regions.base_map import BaseMap
from sifilma.regions.place import PlaceCheck


def place_check(home: Path) -> PlaceCheck:
    """Return the check in use: over the boundary layer that an operator imported under `home`, else over village points."""
    return PlaceCheck(boundaries.imported(home) or villages.points())


def map_in_use(home: Path) -> BaseMap | None:
    """Return the map of the layer that an operator imported under `home`, else that of the installed packages; None if neither was made."""
    path = boundaries.map_file(home) or prepared.find(base_map.FILE)
    return base_map.opened(path, path.stat().st_mtime_ns) if path else None
