"""Register and change outlets, and say at which one a unit stands."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import UNIT, Unit, UnitCondition
from sifilma.cards.outlets.models import OUTLET, Outlet, OutletState
from sifilma.cards.outlets.queries import get_outlet, hold_open, spelled, working_at
from sifilma.cards.outlets.schemas import MoveIn, OutletIn
from sifilma.cards.queries import get_unit
from sifilma.cards.service import NO_OUTLET
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Faults, Invalid
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say
from sifilma.regions import codes
from sifilma.regions import service as regions
from sifilma.regions.place import Outcome, PlaceCheck


def register(ctx: Context, places: PlaceCheck, given: OutletIn) -> Outlet:
    """Register an outlet of the actor's organisation. Return it. A position that does not fit the village warns.

    Raise Invalid for a name or branch code that another outlet has, for an unknown village, and for a position outside Indonesia.
    """
    values = _checked(ctx, places, given, None)
    made = Outlet(id=uuid7(), organisation_id=ctx.actor.organisation_id, created_at=ctx.now, **values)
    act = record(ctx, Action.OUTLET_REGISTER, OUTLET.kind, made.id, rows=[made], name=made.name)
    OUTLET.born(made, OutletState.OPEN, act)
    ctx.session.add(made)
    ctx.session.flush()
    return made


def change(ctx: Context, places: PlaceCheck, outlet_id: UUID, given: OutletIn) -> Outlet:
    """Give an outlet these facts in place of those it had. Return it. Activations that were made there keep their place.

    Raise NotFound outside the actor's scope, and Invalid as `register` does.
    """
    found = get_outlet(ctx, outlet_id, Operation.OUTLET_KEEP)
    hold(ctx.session, found)
    values = _checked(ctx, places, given, found)
    changed = sorted(name for name, value in values.items() if getattr(found, name) != value)
    if not changed:
        return found
    for name in changed:
        setattr(found, name, values[name])
    rows = [found] if set(changed) & set(Outlet.__recorded__) else []
    record(
        ctx, Action.OUTLET_CHANGE, OUTLET.kind, found.id, organisation_id=found.organisation_id, rows=rows, name=found.name, changed=changed
    )
    ctx.session.flush()
    return found


def close(ctx: Context, outlet_id: UUID, reason: str) -> Outlet:
    """Close an outlet: it takes no unit and no activation. Return it. Units that are broken or retired stay recorded there.

    Raise NotFound outside the actor's scope, and Conflict if it is closed already, or (`outlet-in-use`) while working units stand there.
    """
    found = _held(ctx, outlet_id, OutletState.CLOSED)
    standing = working_at(ctx, found.id)
    if standing:
        told = say("Working units that stand there: %(count)s. Move them to another outlet first.", count=standing)
        raise Conflict(told, type="outlet-in-use", units=standing)
    return _moved(ctx, found, OutletState.CLOSED, Action.OUTLET_CLOSE, reason)


def reopen(ctx: Context, outlet_id: UUID, reason: str) -> Outlet:
    """Open a closed outlet again. Return it. Raise NotFound outside the actor's scope, and Conflict if it is open."""
    return _moved(ctx, _held(ctx, outlet_id, OutletState.OPEN), OutletState.OPEN, Action.OUTLET_REOPEN, reason)


def _held(ctx: Context, outlet_id: UUID, target: OutletState) -> Outlet:
    found = get_outlet(ctx, outlet_id, Operation.OUTLET_KEEP)
    hold(ctx.session, found)
    OUTLET.require(found, target)
    return found


def _moved(ctx: Context, found: Outlet, target: OutletState, action: Action, reason: str) -> Outlet:
    act = record(ctx, action, OUTLET.kind, found.id, organisation_id=found.organisation_id, name=found.name, reason=reason)
    OUTLET.move(ctx.session, found, target, act, reason)
    ctx.session.flush()
    return found


def _checked(ctx: Context, places: PlaceCheck, given: OutletIn, stored: Outlet | None) -> dict[str, Any]:
    """Return the columns of an outlet. Raise Invalid that names each field with an error."""
    faults, code = Faults(), ""
    branch_code = spelled(given.branch_code) or None
    others = select(Outlet.id).where(Outlet.organisation_id == ctx.actor.organisation_id, Outlet.id != (stored.id if stored else uuid4()))
    if ctx.session.scalar(others.where(Outlet.name == given.name)):
        faults.add("name", say("Another outlet of your organisation has this name."))
    if branch_code and ctx.session.scalar(others.where(Outlet.branch_code == branch_code)):
        faults.add("branch_code", say("Another outlet of your organisation has this branch code."))
    with faults.taking():
        code = _village(ctx, places, given)
    faults.refuse("The outlet cannot be kept like this.")
    _warn(ctx, places, given, code)
    return {
        "name": given.name,
        "branch_code": branch_code,
        "address": given.address,
        "region_code": code,
        "latitude_e7": round(given.latitude * 1e7),
        "longitude_e7": round(given.longitude * 1e7),
        "contact_name": given.contact_name,
        "contact_phone": given.contact_phone,
        "contact_email": given.contact_email,
    }


def _village(ctx: Context, places: PlaceCheck, given: OutletIn) -> str:
    """Return the village's code that is given, or else that of the nearest village. Raise Invalid for an unknown one."""
    nearest = places.propose(given.latitude, given.longitude).village  # refuses a position that cannot be
    code = codes.normalise(given.region_code) if given.region_code else nearest
    if not code:
        raise Invalid.field("region_code", "No village is known near this position: give the region code of the village.")
    if len(code) != codes.WIDTHS[-1] or regions.cascade(ctx.session, code).code != code:
        raise Invalid.field("region_code", "There is no such village: give the region code of a village, like 35.20.01.2001.")
    return code


def _warn(ctx: Context, places: PlaceCheck, given: OutletIn, code: str) -> None:
    placed = places.check(given.latitude, given.longitude, 0, code)
    if placed.outcome is not Outcome.PASS:
        regency = regions.region_name(ctx.session, codes.regency_of(code))
        distance = round(placed.distance_m / 1000, 1)
        ctx.warn([say("The position lies %(distance)s km from %(regency)s, where the village is.", distance=distance, regency=regency)])


def move(ctx: Context, unit_id: UUID, given: MoveIn) -> Unit:
    """Say at which outlet a unit stands from now on. Return the unit. Its card, its manifest and their place stay as they are.

    Raise NotFound outside the actor's scope, Invalid for an outlet of another organisation, Conflict for a unit that is retired or stands
    there already, and Conflict (`outlet-closed`) for an outlet that is closed.
    """
    unit = get_unit(ctx, unit_id, Operation.OUTLET_KEEP)
    hold(ctx.session, unit)
    target = None
    if given.outlet is not None:
        own = (Outlet.id == given.outlet, Outlet.organisation_id == unit.organisation_id)
        target = ctx.session.scalars(select(Outlet).where(*own)).first()
        if target is None:
            raise Invalid.field("outlet", NO_OUTLET)
        hold_open(ctx, [target])
    if unit.condition == UnitCondition.RETIRED:
        raise Conflict("A retired unit does not change any more.", type="unit-retired")
    if unit.outlet_id == given.outlet:
        raise Conflict("The unit stands there already.", type="unit-there")
    former = ctx.session.get(Outlet, unit.outlet_id) if unit.outlet_id else None
    names = {"from": former.name if former else "", "outlet": target.name if target else ""}
    facts: dict[str, Any] = names | {"outlet_id": str(target.id) if target else "", "reason": given.reason}
    record(ctx, Action.UNIT_MOVE, UNIT.kind, unit.id, organisation_id=unit.organisation_id, **facts)
    unit.outlet_id = given.outlet
    ctx.session.flush()
    return unit
