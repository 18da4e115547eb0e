"""Public keys of units: one person proposes them, another person of the holder executes them. Manifests are encrypted to these keys.

Whoever chooses the key reads the manifest. So a program only delivers keys: a person of the holder proposes what it sent, and another
executes. The maker of a unit, who put the key into it, may propose as well; then one person of the holder executes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select

from sifilma.approvals.four_eyes import content_digest
from sifilma.approvals.proposals import Proposals
from sifilma.approvals.service import not_what_was_seen, require_note
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import KEY_CHANGE, KeyChangeState, Unit, UnitKey, UnitKeyChange
from sifilma.cards.public_keys import thumbprint
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Listing
from sifilma.kernel.repeats import repeats, same_as
from sifilma.kernel.statements.built_once import one_of_given
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.text import say

PROPOSALS = Proposals(KEY_CHANGE, UnitKeyChange, say("Another person than the proposer executes this."))
OPEN = (KeyChangeState.DELIVERED, KeyChangeState.PROPOSED)


@dataclass(frozen=True)
class NewKey:
    """A public key (JWK of four members) for a unit."""

    unit: Unit
    jwk: dict[str, Any]


def changes_query(ctx: Context, operation: Operation = Operation.UNIT_READ) -> Select[UnitKeyChange]:
    """Return a query of the changes the actor may see: those of the organisation's units, and those it proposed as their maker."""
    return scoped(select(UnitKeyChange), ctx.actor, operation, (UnitKeyChange.organisation_id, UnitKeyChange.by_organisation_id))


def list_changes(ctx: Context, state: str | None) -> Listing[UnitKeyChange]:
    """Return the changes the actor may see, of one state if it is given."""
    query = changes_query(ctx)
    return (query.where(UnitKeyChange.state == state) if state else query), UnitKeyChange.id


def get_change(ctx: Context, change_id: UUID, operation: Operation = Operation.UNIT_READ) -> UnitKeyChange:
    """Return one change. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(changes_query(ctx, operation).where(UnitKeyChange.id == change_id)).first()
    if found is None:
        raise NotFound()
    return found


_WAITING = Prepared(
    select(UnitKey.unit_id, UnitKeyChange.id)
    .join(UnitKeyChange, UnitKeyChange.id == UnitKey.change_id)
    .where(one_of_given(UnitKey.unit_id, "units"), or_(*(UnitKeyChange.state == state for state in OPEN)))
    .order_by(UnitKeyChange.id)
)


def open_changes(ctx: Context, units: Sequence[Unit]) -> dict[UUID, UUID]:
    """Return the ids of the changes that wait, by the unit's id. One query."""
    return {row.unit_id: row.id for row in _WAITING.read(ctx.session, {"units": [unit.id for unit in units]})}


def decidable(ctx: Context) -> ColumnElement[bool]:
    """Return a condition in SQL: the changes of the actor's organisation that the actor can propose (a program sent them) or execute."""
    mine = UnitKeyChange.organisation_id == ctx.actor.organisation_id
    return mine & or_(UnitKeyChange.state == KeyChangeState.DELIVERED, PROPOSALS.decidable(ctx))


def is_holders(ctx: Context, change: UnitKeyChange) -> bool:
    """Return whether the units of a change are those of the actor's organisation."""
    return change.organisation_id == ctx.actor.organisation_id


def propose(ctx: Context, keys: dict[int, NewKey]) -> UnitKeyChange:
    """Store keys, given by row number, as one change, and return it: proposed by a person, or delivered by a program.

    Raise Invalid with every error of every row.
    """
    _require_fitting(ctx, keys)
    holder = next(iter(keys.values())).unit.organisation_id
    change = UnitKeyChange(
        id=uuid7(),
        organisation_id=holder,
        by_organisation_id=ctx.actor.organisation_id,
        api_key_id=ctx.actor.api_key_id,
        count=len(keys),
        made_at=ctx.now,
    )
    rows = [
        UnitKey(change_id=change.id, position=row, unit_id=key.unit.id, unit=key.unit, jwk=key.jwk) for row, key in sorted(keys.items())
    ]
    change.digest = content_digest(content(change, rows))
    if ctx.actor.api_key_id is not None:
        KEY_CHANGE.born(change, KeyChangeState.DELIVERED, _record(ctx, Action.UNIT_KEY_DELIVER, change))
        ctx.session.add(change)
        ctx.session.flush()
    else:
        PROPOSALS.propose(ctx, change, _record(ctx, Action.UNIT_KEY_PROPOSE, change))
    ctx.session.add_all(rows)
    ctx.session.flush()
    ctx.session.refresh(change)
    return change


def content(change: UnitKeyChange, keys: Sequence[UnitKey]) -> dict[str, Any]:
    """Return the content of which the digest is made: id, holder, and each unit with the thumbprint of its key."""
    return {
        "id": str(change.id),
        "organisation": str(change.organisation_id),
        "keys": [[str(key.unit_id), thumbprint(key.jwk)] for key in keys],
    }


def _require_fitting(ctx: Context, keys: dict[int, NewKey]) -> None:
    waiting = open_changes(ctx, [key.unit for key in keys.values()])
    holders = {key.unit.organisation_id for key in keys.values()}
    prints = {row: thumbprint(key.jwk) for row, key in keys.items()}
    same_unit, same_key = repeats({row: key.unit.id for row, key in keys.items()}), repeats(prints)
    errors = []
    for row, key in keys.items():
        if len(holders) > 1:
            errors.append((row, "unit", say("The units of one proposal belong to one organisation.")))
        if row in same_unit:
            errors.append((row, "unit", same_as(same_unit[row])))
        if key.unit.id in waiting:
            errors.append((row, "public_jwk", say("A public key for %(number)s waits already.", number=key.unit.hardware_number)))
        if row in same_key and row not in same_unit:
            same = say("The same key as in row %(row)s. Two units cannot have one key.", row=same_key[row])
            errors.append((row, "public_jwk", same))
        if key.unit.public_jwk and thumbprint(key.unit.public_jwk) == prints[row]:
            errors.append((row, "public_jwk", say("This is the key of %(number)s already.", number=key.unit.hardware_number)))
    if errors:
        told = [{"row": row, "field": field, "message": message} for row, field, message in errors]
        raise Invalid("Some keys cannot be proposed.", errors=told)


def take_up(ctx: Context, change_id: UUID, digest: str) -> UnitKeyChange:
    """Propose what a program delivered: from now on the actor answers for it, and another person executes. `digest` is of what was seen.

    Raise NotFound outside the actor's scope, and Conflict if it is not waiting for this, or differs from what was seen.
    """
    change = _own(ctx, change_id)
    hold(ctx.session, change)
    if change.state != KeyChangeState.DELIVERED:
        raise Conflict("Somebody has proposed or rejected this already.", state=change.state)
    _require_seen(change, digest)
    change.proposed_by_person, change.proposed_at = ctx.actor.person_id, ctx.now
    KEY_CHANGE.move(ctx.session, change, KeyChangeState.PROPOSED, _record(ctx, Action.UNIT_KEY_PROPOSE, change))
    ctx.session.flush()
    return change


def execute(ctx: Context, change_id: UUID, digest: str, note: str = "") -> UnitKeyChange:
    """Execute a change: each unit has its new key, all or none. `digest` is that of the keys the actor saw.

    Raise NotFound outside the actor's scope, Conflict if it is not proposed, or differs from what was seen, and Forbidden (`four-eyes`) if
    the actor proposed it.
    """
    change = _own(ctx, change_id)
    if change.state == KeyChangeState.DELIVERED:
        raise Conflict("A program sent these keys: one person proposes them, and another executes.", type="not-proposed")
    PROPOSALS.take(ctx, change)
    _require_seen(change, digest)
    PROPOSALS.require_second_person(ctx, change)
    PROPOSALS.decide(ctx, change, True, _record(ctx, Action.UNIT_KEY_EXECUTE, change, note=note), note)
    units = [key.unit for key in change.keys]
    for unit in units:
        hold(ctx.session, unit)
    for key in change.keys:
        key.unit.public_jwk, key.unit.key_change_id = key.jwk, change.id
    record(ctx, Action.UNIT_CHANGE, KEY_CHANGE.kind, change.id, organisation_id=change.organisation_id, rows=units, count=len(units))
    ctx.session.flush()
    return change


def reject(ctx: Context, change_id: UUID, note: str) -> UnitKeyChange:
    """Reject a change, also one that a program delivered. Needs a note. Raise NotFound outside the scope, Conflict if it is decided."""
    return _end(ctx, _own(ctx, change_id), require_note(note))


def withdraw(ctx: Context, change_id: UUID, note: str = "") -> UnitKeyChange:
    """Withdraw a change the actor proposed. Raise Forbidden (`not-proposer`) for others, and Conflict if it was decided already."""
    change = get_change(ctx, change_id, Operation.UNIT_KEY_PROPOSE)
    if ctx.actor.person_id is None or change.proposed_by_person != ctx.actor.person_id:
        raise Forbidden("Whoever proposed it may withdraw it.", type="not-proposer")
    return _end(ctx, change, note)


def _end(ctx: Context, change: UnitKeyChange, note: str) -> UnitKeyChange:
    hold(ctx.session, change)
    if change.state not in OPEN:
        raise Conflict("This proposal has been decided.", state=change.state)
    PROPOSALS.decide(ctx, change, False, _record(ctx, Action.UNIT_KEY_REJECT, change, note=note), note)
    return change


def _own(ctx: Context, change_id: UUID) -> UnitKeyChange:
    """Return a change of the actor's units. Raise NotFound for others, also for one that the actor's organisation proposed as the maker."""
    change = get_change(ctx, change_id, Operation.UNIT_KEY_DECIDE)
    if not is_holders(ctx, change):
        raise NotFound()
    return change


def _require_seen(change: UnitKeyChange, digest: str) -> None:
    if content_digest(content(change, change.keys)) != digest:
        raise not_what_was_seen()


def _record(ctx: Context, action: Action, change: UnitKeyChange, **more: Any) -> Act:
    facts: dict[str, Any] = {"count": change.count, "digest": change.digest} | more
    return record(ctx, action, KEY_CHANGE.kind, change.id, organisation_id=change.organisation_id, **facts)
