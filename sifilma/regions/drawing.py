"""Draw a regency as GeoJSON for a map: its outline if a boundary layer is in use, else its village points."""

from __future__ import annotations

from sqlalchemy.orm import Session

from sifilma.regions.geometry import collection, feature
from sifilma.regions.place import PlaceCheck
from sifilma.regions.service import names_of

FINE_DEGREES = 0.0005  # about 55 m


def regency(session: Session, places: PlaceCheck, code: str) -> str:
    """Return every shape of a regency with its code and name. Raise Invalid for a regency the source does not know."""
    shapes = places.source.picture(code)
    names = names_of(session, [code for code, _ in shapes])
    return collection([feature(shape, FINE_DEGREES, code=code, name=names.get(code, "")) for code, shape in shapes])
