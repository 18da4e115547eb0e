"""The place of an activation while the form is filled in: the proposal for a position, the choices, the result of the check."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from uuid import UUID

from sifilma.activation.issuing.service import outside_own_region
from sifilma.activation.queries import get_activation
from sifilma.activation.schemas import PlaceIn
from sifilma.cards.outlets.models import Outlet
from sifilma.cards.outlets.queries import find_start
from sifilma.identity.models import Organisation
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import say
from sifilma.regions import coordinates, map_links
from sifilma.regions import service as regions
from sifilma.regions.codes import WIDTHS
from sifilma.regions.coordinates import Axis
from sifilma.regions.place import Outcome, PlaceCheck
from sifilma.regions.service import Levels

PARTS = ("province", "regency", "district", "region_code")  # the four selects, from the province down
POSITION = ("latitude", "longitude")
PASTED = "pasted"


@dataclass(frozen=True)
class Place:
    """A place while it is typed. `outcome` is empty while something is missing; `problem` says why the position cannot be accepted.

    `at_border` is that of the check. `outside` says that the village lies outside the region of the office.
    """

    levels: Levels
    outcome: str = ""
    distance_m: int = 0
    problem: str = ""
    at_border: bool = False
    outside: bool = False

    @property
    def needs_reason(self) -> bool:
        """Return whether the form accepts the place only with a reason."""
        return self.outside or self.outcome in (Outcome.REVIEW, Outcome.FAIL)

    def name(self, length: int) -> str:
        """Return the name of the chosen province (2), regency (5), district (8) or village (13): the length of its code."""
        offered = {2: self.levels.provinces, 5: self.levels.regencies, 8: self.levels.districts, 13: self.levels.villages}[length]
        return next((name for code, name in offered if code == self.levels.part(length)), "")


def start(ctx: Context, hardware_number: str = "") -> dict[str, str]:
    """Return what a new form begins with: the place of the outlet where the machine stands, else address and region of the organisation."""
    outlet = find_start(ctx, hardware_number)
    if outlet is not None:
        return at_outlet(outlet)
    own = ctx.session.get(Organisation, ctx.actor.organisation_id) if ctx.actor.organisation_id else None
    if own is None:
        return {}
    return {"address": own.address, **parts_of(own.region_code or "")}


def at_outlet(outlet: Outlet) -> dict[str, str]:
    """Return the place of an outlet, as a form has it."""
    position = {"latitude": f"{outlet.latitude:.7f}", "longitude": f"{outlet.longitude:.7f}", "source": "typed"}
    return {"address": outlet.address, **position, **parts_of(outlet.region_code)}


def parts_of(code: str) -> dict[str, str]:
    """Return the codes for the four selects, from the province down to the level of this code."""
    return {name: code[:length] for name, length in zip(PARTS, WIDTHS, strict=True) if len(code) >= length}


def same_place(ctx: Context, activation_id: UUID) -> dict[str, str]:
    """Return address and region of an activation, for the next card there. The position is stated anew, for each machine stands apart.

    Raise NotFound if there is no such activation in the actor's scope.
    """
    done = get_activation(ctx, activation_id)
    return {"address": done.address, **parts_of(done.region_code)}


def take_pasted(typed: MutableMapping[str, str]) -> None:
    """Put what was pasted into latitude and longitude. Raise Invalid (field `pasted`) if it tells no position; then it stays as it is."""
    if has_pasted(typed):
        latitude, longitude = map_links.read_position(typed[PASTED])
        read = {"latitude": f"{latitude:.7f}", "longitude": f"{longitude:.7f}", "accuracy_m": "", "source": "typed", PASTED: ""}
        for name, text in read.items():
            typed[name] = text


def has_pasted(typed: Mapping[str, str]) -> bool:
    """Return whether something is pasted that is not taken yet."""
    return bool(typed.get(PASTED, "").strip())


def require_reason(ctx: Context, data: PlaceIn) -> None:
    """Raise Invalid for a place outside the region of the office that is stated without a reason."""
    if outside_own_region(ctx, data.region_code) and not data.reason.strip():
        told = say("The place lies outside the region of your office: check it, or give the reason.")
        raise Invalid.field("reason", told)


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
        placed = places.check(*position, _metres(typed.get("accuracy_m", "")), levels.code)
    except Invalid as refused:
        return Place(levels, problem=refused.errors[0]["message"])
    return Place(levels, placed.outcome.value, placed.distance_m, "", placed.at_border, outside_own_region(ctx, levels.code))


def position_of(typed: Mapping[str, str]) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees, or None unless both are there and can be read."""
    latitude, longitude = _degrees(typed, "latitude"), _degrees(typed, "longitude")
    return None if latitude is None or longitude is None else (latitude, longitude)


def _degrees(typed: Mapping[str, str], axis: Axis) -> float | None:
    try:
        return coordinates.read_degrees(typed.get(axis, ""), axis)
    except Invalid:
        return None


def _metres(text: str) -> float:
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return 0
