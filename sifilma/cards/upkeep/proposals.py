"""Corrections of a unit to which something is bound: one person proposes another hardware number or PCID, another one executes it.

A manifest names both numbers. So the standing manifest of the unit's card ends with the correction (a hook of `activation`), and the card
gets another by an activation request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from sifilma.approvals.four_eyes import content_digest
from sifilma.approvals.models import ProposalState
from sifilma.approvals.proposals import Proposals
from sifilma.approvals.service import require_note
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import UNIT, Unit
from sifilma.cards.schemas import CorrectIn
from sifilma.cards.upkeep.models import CORRECTION, UnitCorrection
from sifilma.cards.upkeep.service import NUMBERS, checked, held, is_bound, require_reason
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Act, Context
from sifilma.kernel.errors import Conflict, Forbidden, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.statements.built_once import one_of_given
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.text import say

PROPOSALS = Proposals(CORRECTION, UnitCorrection, say("Another person than the proposer executes this."))


def corrections_query(ctx: Context, operation: Operation = Operation.UNIT_READ) -> Select[UnitCorrection]:
    """Return a query of the corrections of units of the organisations the actor may see."""
    return scoped(select(UnitCorrection), ctx.actor, operation, UnitCorrection.organisation_id)


def get_correction(ctx: Context, correction_id: UUID, operation: Operation = Operation.UNIT_READ) -> UnitCorrection:
    """Return one correction. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(corrections_query(ctx, operation).where(UnitCorrection.id == correction_id)).first()
    if found is None:
        raise NotFound()
    return found


_WAITING = Prepared(
    select(UnitCorrection.id).where(UnitCorrection.state == ProposalState.PROPOSED.value, one_of_given(UnitCorrection.unit_id, "units"))
)


def open_corrections(ctx: Context, units: Sequence[Unit]) -> dict[UUID, UnitCorrection]:
    """Return the corrections that wait, by the unit's id, within the actor's scope. One query where none does, else two."""
    waiting = [row.id for row in _WAITING.read(ctx.session, {"units": [unit.id for unit in units]})]
    found = ctx.session.scalars(corrections_query(ctx).where(UnitCorrection.id.in_(waiting))) if waiting else ()
    return {one.unit_id: one for one in found}


def check(ctx: Context, unit_id: UUID, given: CorrectIn) -> tuple[Unit, dict[str, Any]]:
    """Return the unit and the columns that a proposal would change. Change nothing.

    Raise NotFound outside the actor's scope, Conflict (`proposed-already`) if one waits, Conflict (`not-bound`) if nothing is bound to it,
    and Invalid without a reason, for a wrong number, or for a field that does not change any more.
    """
    unit = held(ctx, unit_id)
    if not is_bound(ctx, unit):
        raise Conflict("Nothing is bound to this unit: correct it at once.", type="not-bound")
    if unit.id in open_corrections(ctx, [unit]):
        raise Conflict("A correction of this unit waits already.", type="proposed-already")
    faults, changed = checked(ctx, unit, given)
    with faults.taking():
        require_reason(given.reason)
    for name, column in (("model", "model_id"), ("function", "function"), ("sam_perso", "sam_perso")):
        if column in changed:
            faults.add(name, say("Something is bound to this unit: only its hardware number and its PCID can be corrected."))
    faults.refuse("The unit cannot be corrected.")
    return unit, changed


def propose(ctx: Context, unit_id: UUID, given: CorrectIn) -> UnitCorrection:
    """Propose another hardware number or PCID for a unit to which something is bound. Nothing changes yet. Return the proposal.

    Raise as `check` does.
    """
    unit, changed = check(ctx, unit_id, given)
    made = UnitCorrection(
        id=uuid7(),
        unit_id=unit.id,
        unit=unit,
        organisation_id=unit.organisation_id,
        **{name: changed.get(name) for name in NUMBERS},
        former_hardware_number=unit.hardware_number,
        former_pcid=unit.pcid,
        reason=given.reason,
    )
    PROPOSALS.propose(ctx, made, _record(ctx, Action.UNIT_CORRECT_PROPOSE, made, reason=given.reason), given.reason)
    return made


def execute(ctx: Context, correction_id: UUID, note: str = "") -> Unit:
    """Give the unit the proposed numbers. Return it. A hook ends the manifest that names the former ones.

    Raise NotFound outside the actor's scope, Conflict if it was decided, Conflict (`unit-changed`) if the unit is not what it was, Invalid
    if a number was taken meanwhile, and Forbidden (`four-eyes`) if the actor proposed it.
    """
    found = get_correction(ctx, correction_id, Operation.UNIT_CORRECT)
    PROPOSALS.take(ctx, found)
    PROPOSALS.require_second_person(ctx, found)
    unit = held(ctx, found.unit_id)
    if (unit.hardware_number, unit.pcid) != (found.former_hardware_number, found.former_pcid):
        raise Conflict("The unit was changed since this was proposed: reject it, and propose anew.", type="unit-changed")
    faults, changed = checked(ctx, unit, CorrectIn.model_validate({"hardware_number": found.hardware_number, "pcid": found.pcid}))
    faults.refuse("The unit cannot be corrected.")
    PROPOSALS.decide(ctx, found, True, _record(ctx, Action.UNIT_CORRECT_EXECUTE, found, note=note), note)
    for name, value in changed.items():
        setattr(unit, name, value)
    record(ctx, Action.UNIT_CHANGE, UNIT.kind, unit.id, organisation_id=unit.organisation_id, rows=[unit], changed=sorted(changed))
    ctx.session.flush()
    return unit


def reject(ctx: Context, correction_id: UUID, note: str) -> UnitCorrection:
    """Reject a correction, with a note. Raise NotFound outside the actor's scope, Conflict if it was decided."""
    return _end(ctx, get_correction(ctx, correction_id, Operation.UNIT_CORRECT), require_note(note))


def withdraw(ctx: Context, correction_id: UUID, note: str = "") -> UnitCorrection:
    """Withdraw a correction the actor proposed. Raise Forbidden (`not-proposer`) for others, and Conflict if it was decided."""
    found = get_correction(ctx, correction_id, Operation.UNIT_CORRECT)
    if not PROPOSALS.is_own(ctx, found):
        raise Forbidden("Whoever proposed it may withdraw it.", type="not-proposer")
    return _end(ctx, found, note)


def _end(ctx: Context, found: UnitCorrection, note: str) -> UnitCorrection:
    PROPOSALS.take(ctx, found)
    PROPOSALS.decide(ctx, found, False, _record(ctx, Action.UNIT_CORRECT_REJECT, found, note=note), note)
    return found


def decide(ctx: Context, unit_id: UUID, correction_id: UUID, decision: str, note: str) -> None:
    """Execute, reject or withdraw the correction of this unit. Raise as these do, and NotFound for a correction of another unit."""
    if get_correction(ctx, correction_id, Operation.UNIT_CORRECT).unit_id != unit_id:
        raise NotFound()
    if decision == "execute":
        execute(ctx, correction_id, note)
    else:
        (reject if decision == "reject" else withdraw)(ctx, correction_id, note)


def content(found: Any) -> dict[str, Any]:
    """Return the content of which the digest in the entries is made: a PCID itself stands in no entry."""
    numbers = (found.former_hardware_number, found.former_pcid, found.hardware_number, found.pcid)
    return {"unit": str(UUID(str(found.unit_id))), "numbers": [number or "" for number in numbers]}


def _record(ctx: Context, action: Action, found: UnitCorrection, **more: Any) -> Act:
    facts: dict[str, Any] = {"number": found.former_hardware_number, "digest": content_digest(content(found))} | more
    return record(ctx, action, CORRECTION.kind, found.id, organisation_id=found.organisation_id, **facts)
