"""The condition of a unit (broken, repaired, retired), and the correction of a unit to which nothing is bound yet."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import BOUND, UNIT, Card, CardState, Unit, UnitCondition
from sifilma.cards.outlets.models import Outlet
from sifilma.cards.outlets.queries import hold_open
from sifilma.cards.queries import get_unit, units_query
from sifilma.cards.schemas import CorrectIn
from sifilma.cards.service import NO_PCID, PCID_TAKEN, cards_in, model_faults, models_by_name
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Faults, Invalid
from sifilma.kernel.text import say

ACTS = {UnitCondition.BROKEN: Action.UNIT_BREAK, UnitCondition.WORKING: Action.UNIT_REPAIR, UnitCondition.RETIRED: Action.UNIT_RETIRE}
NUMBERS = ("hardware_number", "pcid")
MOVABLE = (CardState.RECEIVED, CardState.ACTIVE)
"""The states of cards that can move to another unit."""
MOST_ALIKE = 5


def steps_for(ctx: Context, unit: Unit, *, occupied: bool) -> list[UnitCondition]:
    """Return the conditions that a unit of the actor's organisation can be brought to now. `occupied`: a living card is in it."""
    if not is_own(ctx, unit):
        return []
    possible = [condition for condition in ACTS if UNIT.allows(unit.condition, condition)]
    return [condition for condition in possible if condition != UnitCondition.RETIRED or not occupied]


def is_own(ctx: Context, unit: Unit) -> bool:
    """Return whether the unit is one of the actor's organisation."""
    return unit.organisation_id == ctx.actor.organisation_id


def change_condition(ctx: Context, unit_id: UUID, condition: str, reason: str) -> Unit:
    """Say that a unit is broken, works again, or is out of use for good. Return it. A card in it stays as it is.

    Raise NotFound outside the actor's scope, Invalid without a reason, Conflict if the life cycle has no such step, Conflict
    (`unit-has-card`) if a unit with a living card is to be retired, and Conflict (`outlet-closed`) if one is to work at a closed outlet.
    """
    unit = get_unit(ctx, unit_id, Operation.UNIT_CONDITION)
    require_reason(reason)
    hold(ctx.session, unit)
    UNIT.require(unit, condition)
    if condition == UnitCondition.RETIRED and cards_in(ctx, [unit]):
        raise Conflict("A card is tied to this unit: move it by a replacement, or report it, first.", type="unit-has-card")
    if condition == UnitCondition.WORKING and unit.outlet_id is not None:
        hold_open(ctx, [ctx.session.get_one(Outlet, unit.outlet_id)])
    act = record(ctx, ACTS[UnitCondition(condition)], UNIT.kind, unit.id, organisation_id=unit.organisation_id, reason=reason)
    UNIT.move(ctx.session, unit, condition, act, reason)
    ctx.session.flush()
    return unit


def broken_alike(ctx: Context, unit: Unit) -> list[tuple[str, str]]:
    """Return hardware number and card of the broken units, at most MOST_ALIKE, whose place a working unit of the actor's can take."""
    if not is_own(ctx, unit) or unit.condition != UnitCondition.WORKING:
        return []
    broken = Unit.organisation_id == unit.organisation_id, Unit.function == unit.function, Unit.condition == UnitCondition.BROKEN
    seen = units_query(ctx).with_only_columns(Unit.hardware_number, Card.uid).join(Card, Card.unit_id == Unit.id)
    query = seen.where(*broken, Card.state.in_(MOVABLE))
    return [(number, uid) for number, uid in ctx.session.execute(query.order_by(Unit.changed_at.desc()).limit(MOST_ALIKE))]


def require_reason(reason: str) -> None:
    """Raise Invalid for a reason of fewer than three characters."""
    if len(reason.strip()) < 3:
        raise Invalid.field("reason", "Say in a few words why.")


def is_bound(ctx: Context, unit: Unit) -> bool:
    """Return whether a card is or was tied to a unit, was activated in it, or an open batch names it."""
    return ctx.session.scalar(select(Unit.id).where(Unit.id == unit.id, text(BOUND.format(unit="unit.id")))) is not None


def correct(ctx: Context, unit_id: UUID, given: CorrectIn) -> Unit:
    """Change what was registered of a unit to which nothing is bound yet. Return the unit.

    Raise NotFound outside the actor's scope, Conflict (`unit-bound`) once something is bound to it, Conflict if it is retired, and Invalid
    that names the fields with errors.
    """
    unit = held(ctx, unit_id)
    if is_bound(ctx, unit):
        raise Conflict("Something is bound to this unit: two persons correct its numbers.", type="unit-bound")
    faults, changed = checked(ctx, unit, given)
    faults.refuse("The unit cannot be corrected.")
    for name, value in changed.items():
        setattr(unit, name, value)
    facts = {"changed": sorted(changed), "reason": given.reason}
    record(ctx, Action.UNIT_CORRECT, UNIT.kind, unit.id, organisation_id=unit.organisation_id, rows=[unit], **facts)
    ctx.session.flush()
    ctx.session.refresh(unit)
    return unit


def held(ctx: Context, unit_id: UUID) -> Unit:
    """Return a unit of the actor's organisation, locked. Raise NotFound outside the scope, Conflict (`unit-retired`) if it is retired."""
    unit = get_unit(ctx, unit_id, Operation.UNIT_CORRECT)
    hold(ctx.session, unit)
    if unit.condition == UnitCondition.RETIRED:
        raise Conflict("A retired unit does not change any more.", type="unit-retired")
    return unit


def checked(ctx: Context, unit: Unit, given: CorrectIn) -> tuple[Faults, dict[str, Any]]:
    """Return what is wrong with a correction, and the columns that it changes with their new values. A field not given stays as it is."""
    stated = given.model_dump(include={"hardware_number", "pcid", "sam_perso", "function"}, exclude_none=True)
    models = models_by_name(ctx)
    model = models.get(given.model or unit.model.name)
    # Another model with one function brings it along; else the unit goes on serving what it serves.
    function = given.function or (model.functions[0] if model and len(model.functions) == 1 else unit.function)
    faults = model_faults(ctx, {"model": given.model or unit.model.name, "function": function}, models)
    if model is not None:
        stated |= {"model_id": model.id, "function": function}
    changed = {name: value for name, value in stated.items() if getattr(unit, name) != value}
    if not changed and not faults:
        faults.add("hardware_number", say("Nothing differs from what is registered."))
    same = select(Unit.id).where(Unit.organisation_id == unit.organisation_id, Unit.id != unit.id)
    number, pcid = changed.get("hardware_number"), changed.get("pcid")
    if number and ctx.session.scalar(same.where(Unit.hardware_number == number)):
        faults.add("hardware_number", say("%(number)s is registered already.", number=number))
    if pcid == "0" * 32:
        faults.add("pcid", NO_PCID)
    elif pcid and ctx.session.scalar(select(Unit.id).where(Unit.pcid == pcid, Unit.id != unit.id)):
        faults.add("pcid", PCID_TAKEN)
    return faults, changed
