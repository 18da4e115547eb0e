"""What an activation requires of the place that is stated for it, and how long its manifest counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TypeVar

from sifilma.activation.schemas import AT_OUTLET, PlaceIn
from sifilma.cards.outlets.models import OutletState
from sifilma.cards.outlets.queries import CLOSED, own_by_text
from sifilma.cards.service import NO_OUTLET
from sifilma.documents.indonesian import WIB
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid

Stated = TypeVar("Stated", bound=PlaceIn)
DAY_END = time(23, 59, 59)


def placed(ctx: Context, data: Stated) -> Stated:
    """Return what was stated, with the address, position and village of the outlet if it names one.

    Raise Invalid (`outlet`) for an outlet that is closed, or not of the actor's organisation or limit, and if a place is stated as well.
    """
    if not data.outlet:
        return data
    if any(getattr(data, name) != value for name, value in AT_OUTLET.items()):
        raise Invalid.field("outlet", "Give the outlet, or address, position and village: not both.")
    found = own_by_text(ctx, [data.outlet]).get(data.outlet)
    if found is None:
        raise Invalid.field("outlet", NO_OUTLET)
    if found.state == OutletState.CLOSED:
        raise Invalid.field("outlet", CLOSED)
    place = {name: getattr(found, name) for name in ("address", "latitude", "longitude", "region_code")}
    return data.model_copy(update=place | {"outlet": ""})


def expiry(now: datetime, years: int, agreement_end: date | None) -> int:
    """Return `exp` in seconds since 1970: the same day `years` later (28 February for the 29th), at most the end of the PKS (WIB)."""
    leap_day = (now.month, now.day) == (2, 29)
    end = now.replace(year=now.year + years, day=28 if leap_day else now.day)
    if agreement_end is not None:
        end = min(end, datetime.combine(agreement_end, DAY_END, WIB).astimezone(UTC))
    return int(end.timestamp())
