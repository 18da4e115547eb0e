"""What an activation requires of the place that is stated for it."""

from __future__ import annotations

from typing import TypeVar

from sifilma.activation.schemas import AT_OUTLET, PlaceIn
from sifilma.cards.outlets.models import OutletState
from sifilma.cards.outlets.queries import CLOSED, own_by_text
from sifilma.cards.service import NO_OUTLET
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid

Stated = TypeVar("Stated", bound=PlaceIn)


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
