"""The grid in which readers on a map are found and tallied."""

from __future__ import annotations

SOUTH_E7 = 200_000_000  # added to latitudes, so that integer division rounds the same way north and south of the equator
FINEST = 15
"""The zoom of the map whose grid is the finest that is tallied: readers are found by its cells."""


def cell_size(zoom: int) -> int:
    """Return the width of a cell of the grid of a zoom, in 1e-7 degrees: 64 of the 256 pixels of a tile, which is 360 degrees at zoom 0."""
    return int(360 * 64 / 256 / 2**zoom * 10_000_000)


CELL = (f"((latitude_e7 + {SOUTH_E7}) / {cell_size(FINEST)})", f"(longitude_e7 / {cell_size(FINEST)})")
"""The cell of an activation in the finest grid, as its index has it: north and east."""
