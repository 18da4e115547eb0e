"""The routes of readers and encoders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from flask import Response, g
from pydantic import Field, RootModel

from sifilma.api.common import IdPath, ListQuery, Page, answer, blueprint, page_of
from sifilma.cards import pcid, service
from sifilma.cards.schemas import SupplyIn, UnitIn, UnitOut
from sifilma.cards.serializers import units_out
from sifilma.identity.permissions import Operation
from sifilma.resources import resources
from sifilma.sign_in.request_gate import require_grant
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("units")


class UnitsIn(RootModel[UnitIn | Annotated[list[UnitIn], Field(min_length=1, max_length=1000)]]):
    """One unit, or up to a thousand."""

    def units(self) -> list[UnitIn]:
        """Return the units as a list."""
        return self.root if isinstance(self.root, list) else [self.root]


class UnitsQuery(ListQuery):
    """A page of units, by hardware number."""

    hardware_number: str | None = Field(None, max_length=40)


@api.post("/units", responses={201: Page[UnitOut]}, summary="Register one unit or a list of them")
@operation("unit.register", lists=True)
def register(body: UnitsIn) -> Response:
    """All or none; the answer to a single unit is that unit.

    Public keys do not count at once: they are one proposal, and `public_key_change` is its id. A person who gives one needs a fresh code.
    """
    ctx = context()
    _require_fresh(unit.public_jwk for unit in body.units())
    made = units_out(ctx, service.register_units(ctx, body.units()))
    return answer(Page[UnitOut](items=made, next=None) if isinstance(body.root, list) else made[0], 201)


@api.get("/units", responses={200: Page[UnitOut]}, summary="Units")
@operation("unit.read")
def list_units(query: UnitsQuery) -> Response:
    """Newest first; by hardware number if one is given."""
    ctx = context()
    select, key = service.list_units(ctx, service.UnitFilter(hardware_number=query.hardware_number or ""))
    return page_of(select, key, query, lambda units: units_out(ctx, units))


@api.get("/units/<uuid:id>", responses={200: UnitOut}, summary="A unit")
@operation("unit.read")
def show(path: IdPath) -> Response:
    """With the card in it."""
    ctx = context()
    return answer(units_out(ctx, [service.get_unit(ctx, path.id)])[0])


@api.post("/units/<uuid:id>/pcid", responses={200: UnitOut}, summary="Supply the PCID a unit lacks")
@operation("unit.supply")
def supply_pcid(path: IdPath, body: SupplyIn) -> Response:
    """Once: by the organisation whose unit it is, or by the maker of its model. What else it lacks may come with it."""
    ctx = context()
    _require_fresh([body.public_jwk])
    return answer(units_out(ctx, [pcid.supply(ctx, path.id, body)])[0])


def _require_fresh(keys: Iterable[object]) -> None:
    """Ask for the grant to propose public keys, and a person for a fresh code, if there is any key."""
    if any(keys):
        require_grant(g.actor, Operation.UNIT_KEY_PROPOSE, resources().settings)
