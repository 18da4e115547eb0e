"""A regency as GeoJSON for a map on a page: its outline where a boundary layer is in force, else its village points."""

from __future__ import annotations

from sqlalchemy.orm import Session

from sifilma.regions.geometry import collection, feature
from sifilma.regions.place import PlaceCheck
from sifilma.regions.service import names_of

FINE_DEGREES = 0.0005


def regency(session: Session, places: PlaceCheck, code: str) -> str:
    """Every shape with its code and name. Invalid for a regency the source does not know."""
    shapes = places.source.picture(code)
    names = names_of(session, [code for code, _ in shapes])
    return collection([feature(shape, FINE_DEGREES, code=code, name=names.get(code, "")) for code, shape in shapes])
