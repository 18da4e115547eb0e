"""Check whether a stated position fits a stated region code: one interface with two sources (docs/domain.md, rule 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from sifilma.kernel.errors import Invalid
from sifilma.regions import villages
from sifilma.regions.contract import Located, Measured, Source
from sifilma.regions.geometry import BOX, on_foreign_land, within_a_regency

# Metres, see `judge`.
PASS_M = 250
ACCURACY_M = 500
REVIEW_M = 2000
OFF_SHORE_M = 3000
OUTSIDE_M = 50_000
# How far the outlines of countries err: 25 of our village points lie on "foreign" land, up to 3.2 km inside.
MASK_ERROR_M = 3500


class Outcome(StrEnum):
    """The result of the check. REVIEW and FAIL need a reason from the user, and an operator reviews them."""

    PASS = "PASS"  # noqa: S105
    REVIEW = "REVIEW"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Placed:
    """The result with its basis: metres to the stated regency, the nearest regency, the source and its SHA-256 (hex).

    `at_border` says that a neighbour's outline covers the position, but so near to Indonesian villages that the outline may be wrong, or
    against the outlines of our regencies.
    """

    outcome: Outcome
    distance_m: int
    nearest: str
    source: str
    source_sha256: str
    at_border: bool = False


class PlaceCheck:
    """The rules of the place check, over either source."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def check(self, latitude: float, longitude: float, accuracy_m: float, code: str) -> Placed:
        """Return PASS, REVIEW or FAIL for the regency of a code. Raise Invalid for 0/0, positions outside Indonesia and foreign land.

        `accuracy_m` is the accuracy that the device states, in metres. Land at the border that may be foreign does not PASS.
        """
        require_possible(latitude, longitude)
        measured = self.source.measure(latitude, longitude, code[:5])
        at_border = _may_be_foreign(latitude, longitude, measured)
        outcome = judge(measured, accuracy_m, measured.nearest == code[:5])
        if at_border and outcome is Outcome.PASS:
            outcome = Outcome.REVIEW
        return Placed(outcome, round(measured.claimed_m), measured.nearest, self.source.name, self.source.sha256, at_border)

    def locate(self, latitude: float, longitude: float) -> Located:
        """Return what lies at a position. Raise Invalid as `check` does."""
        require_possible(latitude, longitude)
        found = self.source.locate(latitude, longitude)
        _may_be_foreign(latitude, longitude, self.source.measure(latitude, longitude, found.regency))
        return found

    def propose(self, latitude: float, longitude: float) -> Located:
        """Return what lies at a position, for a form. A source without villages is completed from the village points of the regency."""
        found = self.locate(latitude, longitude)
        return found if found.village else replace(found, village=villages.points().nearest_of(found.regency, latitude, longitude))


def require_possible(latitude: float, longitude: float) -> None:
    """Raise Invalid for numbers that are no position, for 0/0, and for everything outside the box around Indonesia.

    0/0 is what a device or a form gives that has no position.
    """
    if not (math.isfinite(latitude) and math.isfinite(longitude) and abs(latitude) <= 90 and abs(longitude) <= 180):
        raise Invalid.field("latitude", "This is not a position.", type="place-impossible")
    if abs(latitude) < 1e-6 and abs(longitude) < 1e-6:
        raise Invalid.field("latitude", "0/0 is not a position: read it from the device or choose it on the map.", type="place-zero")
    if not (BOX[1] <= latitude <= BOX[3] and BOX[0] <= longitude <= BOX[2]):
        raise Invalid.field("latitude", "This position lies outside Indonesia.", type="place-outside")


def _may_be_foreign(latitude: float, longitude: float, measured: Measured) -> bool:
    """Return whether it is open on which side of the border the position lies. Raise Invalid where it surely is not in Indonesia."""
    if measured.nearest_m > OUTSIDE_M:
        raise Invalid.field("latitude", "This position lies outside Indonesia.", type="place-outside")
    # The outlines of countries are coarse. Near a border they may claim Indonesian land, so the source is asked first.
    if measured.on_land or not on_foreign_land(latitude, longitude):
        return False
    near = villages.points().locate(latitude, longitude).distance_m <= MASK_ERROR_M
    if not near and not within_a_regency(latitude, longitude):
        raise Invalid.field("latitude", "This position lies on the land of a neighbouring country.", type="place-foreign")
    return True


def judge(measured: Measured, accuracy_m: float, is_nearest: bool) -> Outcome:
    """Return PASS within 250 m (or the stated accuracy, up to 500 m) and for places off the regency's shore, REVIEW within 2 km, else FAIL.

    Off shore means at most 3 km from the stated regency, if it is the nearest.
    """
    tolerance = max(PASS_M, min(accuracy_m, ACCURACY_M))
    off_shore = not measured.on_land and is_nearest and measured.claimed_m <= OFF_SHORE_M
    if measured.claimed_m <= tolerance or off_shore:
        return Outcome.PASS
    return Outcome.REVIEW if measured.claimed_m <= REVIEW_M else Outcome.FAIL
