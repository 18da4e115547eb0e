"""Supply what was not known when a unit was registered, above all its PCID, which the manufacturer makes. It never changes."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards import proposals
from sifilma.cards.models import Unit
from sifilma.cards.proposals import NewKey
from sifilma.cards.queries import get_unit, units_query
from sifilma.cards.schemas import SupplyIn
from sifilma.cards.service import NO_PCID, PCID_TAKEN
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Faults
from sifilma.kernel.text import say


def may_supply(ctx: Context, unit: Unit) -> bool:
    """Return whether the unit lacks its PCID and the actor may supply it. Its owner and the manufacturer of its model may."""
    return unit.pcid is None and ctx.session.scalar(units_query(ctx, Operation.UNIT_SUPPLY).where(Unit.id == unit.id)) is not None


def supply(ctx: Context, unit_id: UUID, given: SupplyIn) -> Unit:
    """Give a unit its PCID and, if it is missing, SAM Perso. Return the unit. A public key that comes with it is proposed (`proposals`).

    Raise NotFound outside the actor's scope, Conflict if the unit has a PCID, and Invalid if the PCID is another unit's or a field is set.
    """
    unit = get_unit(ctx, unit_id, Operation.UNIT_SUPPLY)
    hold(ctx.session, unit)
    if unit.pcid is not None:
        raise Conflict("This unit has its PCID. It does not change.", type="pcid-known")
    _require_fitting(ctx, unit, given)
    supplied = given.model_dump(exclude_defaults=True, exclude={"public_jwk"})
    for name, value in supplied.items():
        setattr(unit, name, value)
    record(ctx, Action.UNIT_CHANGE, "unit", unit.id, organisation_id=unit.organisation_id, rows=[unit], supplied=sorted(supplied))
    ctx.session.flush()
    if given.public_jwk is not None:
        proposals.propose(ctx, {1: NewKey(unit, given.public_jwk)})
    return unit


def _require_fitting(ctx: Context, unit: Unit, given: SupplyIn) -> None:
    faults = Faults()
    if given.pcid == "0" * 32:
        faults.add("pcid", NO_PCID)
    elif ctx.session.scalar(select(Unit.id).where(Unit.pcid == given.pcid)):
        faults.add("pcid", PCID_TAKEN)
    if given.sam_perso and unit.sam_perso:
        faults.add("sam_perso", say("This is registered already. It does not change."))
    faults.refuse()
