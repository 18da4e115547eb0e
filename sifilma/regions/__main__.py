"""Make what is made once from the installed packages: `python -m sifilma.regions`. Does nothing if it is there."""

from __future__ import annotations

from collections.abc import Sequence

import shapely
from shapely.geometry.base import BaseGeometry

from sifilma.regions import base_map, gazetteer, geometry, prepared, villages
from sifilma.regions.loading import regency_names


def main() -> None:
    """Make the files of `prepared`."""
    shapes = gazetteer.shapes(regency_names())
    prepared.keep(
        {
            villages.FILE: villages.packed(),
            geometry.FOREIGN_FILE: _together(geometry.foreign_parts()),
            geometry.COUNTRIES_FILE: _together(geometry.united_countries()),
            geometry.REGENCIES_FILE: _together(list(shapes.values())),
            base_map.FILE: base_map.make(shapes, gazetteer.CREDIT),
        }
    )


def _together(shapes: Sequence[BaseGeometry]) -> bytes:
    return shapely.to_wkb(shapely.geometrycollections(shapes))


if __name__ == "__main__" and not prepared.folder().exists():
    main()
