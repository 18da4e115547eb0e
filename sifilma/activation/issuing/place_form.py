"""The place of an activation while the form is filled in: the proposal for a position, the choices, the result of the check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.regions import service as regions
from sifilma.regions.place import Outcome, PlaceCheck
from sifilma.regions.service import Levels

PARTS = ("province", "regency", "district", "region_code")


@dataclass(frozen=True)
class Place:
    """A place while it is typed. `outcome` is empty while something is missing; `problem` says why the position cannot be accepted."""

    levels: Levels
    outcome: str = ""
    distance_m: int = 0
    problem: str = ""

    @property
    def needs_reason(self) -> bool:
        """Return whether the place is accepted only with a reason."""
        return self.outcome in (Outcome.REVIEW, Outcome.FAIL)

    def name(self, length: int) -> str:
        """Return the name of the chosen province (2), regency (5), district (8) or village (13): the length of its code."""
        offered = {2: self.levels.provinces, 5: self.levels.regencies, 8: self.levels.districts, 13: self.levels.villages}[length]
        return next((name for code, name in offered if code == self.levels.part(length)), "")


def look(ctx: Context, places: PlaceCheck, typed: Mapping[str, str], *, follow: bool) -> Place:
    """Return the place as typed. With `follow`, the nearest village or the regency of the position replaces the typed region."""
    position, code, problem = position_of(typed), regions.deepest(*(typed.get(part, "") for part in PARTS)), ""
    try:
        if position and follow:
            found = places.propose(*position)
            code = found.village or found.regency
    except Invalid as refused:
        problem = refused.errors[0]["message"]
    levels = regions.cascade(ctx.session, code)
    if position is None or problem or not levels.part(13):
        return Place(levels, problem=problem)
    try:
        placed = places.check(*position, degrees(typed.get("accuracy_m", "")) or 0, levels.code)
    except Invalid as refused:
        return Place(levels, problem=refused.errors[0]["message"])
    return Place(levels, placed.outcome.value, placed.distance_m)


def position_of(typed: Mapping[str, str]) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees, or None unless both are numbers."""
    latitude, longitude = degrees(typed.get("latitude", "")), degrees(typed.get("longitude", ""))
    return None if latitude is None or longitude is None else (latitude, longitude)


def degrees(text: str) -> float | None:
    """Return a number as people type it, with comma or point (`-7,6536`), or None."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None
