"""What can be read of outlets."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, bindparam, exists, func, or_, select, true

from sifilma.cards.models import Card, Unit, UnitCondition
from sifilma.cards.outlets.models import Outlet, OutletState
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import at_outlets, scoped
from sifilma.kernel.actor import Actor
from sifilma.kernel.context import Context
from sifilma.kernel.db import among
from sifilma.kernel.errors import Conflict, NotFound
from sifilma.kernel.paging import Listing
from sifilma.kernel.statements.finders import Arm, Finder, ilike, like, pattern
from sifilma.kernel.text import say

MOST_OFFERED = 1000
CLOSED = say("This outlet is closed.")
_STANDS = (Unit.outlet_id == Outlet.id, Unit.condition != UnitCondition.RETIRED)


def outlets_query(ctx: Context, operation: Operation = Operation.OUTLET_SEE) -> Select[Outlet]:
    """Return a query of the outlets the actor may see."""
    return scoped(select(Outlet), ctx.actor, operation, Outlet.organisation_id, unit=lambda actor: Outlet.id.in_(sorted(actor.outlets)))


def named_outlets_query(ctx: Context) -> Select[Outlet]:
    """Return a query of the outlets whose name is `name` or whose branch code is `branch_code`, of those that the actor may see."""
    same = or_(Outlet.name == bindparam("name", type_=String), Outlet.branch_code == bindparam("branch_code", type_=String))
    return outlets_query(ctx).where(same)


def spelled(branch_code: str) -> str:
    """Return a branch code as it is kept and compared: upper case, without spaces."""
    return "".join(branch_code.split()).upper()


FINDER = Finder(
    Arm(Outlet.id, ilike(Outlet.name), pattern),
    Arm(Outlet.id, ilike(Outlet.address), pattern),
    Arm(Outlet.id, like(Outlet.branch_code), lambda text: pattern(spelled(text))),
)
"""What finds a part of name, branch code or address."""


def list_outlets(ctx: Context, text: str = "", units: str = "", state: str = "") -> Listing[Outlet]:
    """Return the outlets the actor may see, by a part of name, branch code or address, by state, and `with` or `without` units."""
    query = outlets_query(ctx)
    if state:
        query = query.where(Outlet.state == state)
    if text:
        query = FINDER.restricted_query(ctx.session, query, text)
    if units in ("with", "without"):
        stands = exists().where(*_STANDS)
        query = query.where(stands if units == "with" else ~stands)
    return query, Outlet.id


def outlet_ids_query(ctx: Context, text: str) -> Select[UUID]:
    """Return a query of the ids of outlets that a filter names, within the actor's scope: by id, branch code, or a part of the name."""
    query = outlets_query(ctx).with_only_columns(Outlet.id)
    if (one := _id(text)) is not None:
        return query.where(Outlet.id == one)
    return query.where(or_(Outlet.name.icontains(text, autoescape=True), Outlet.branch_code == spelled(text)))


def card_at_outlets(card_id: Any) -> Callable[[Actor], ColumnElement[bool]]:
    """Return what says whether a card, by the column of its id, is in a unit at an outlet to which an actor is limited (`scoped`)."""
    return lambda actor: card_id.in_(select(Card.id).where(at_outlets(actor, Card.unit_id)).correlate(None))


def get_outlet(ctx: Context, outlet_id: UUID, operation: Operation = Operation.OUTLET_SEE) -> Outlet:
    """Return one outlet. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(outlets_query(ctx, operation).where(Outlet.id == outlet_id)).first()
    if found is None:
        raise NotFound()
    return found


def _own_query(ctx: Context) -> Select[Outlet]:
    """Return a query of the outlets of the actor's organisation; of somebody who is limited, of those to which they are."""
    limited = true() if ctx.actor.outlets is None else Outlet.id.in_(sorted(ctx.actor.outlets))
    return select(Outlet).where(Outlet.organisation_id == ctx.actor.organisation_id, limited)


def own_outlets(ctx: Context) -> list[Outlet]:
    """Return the open outlets of the actor's organisation by name, at most MOST_OFFERED."""
    query = _own_query(ctx).where(Outlet.state == OutletState.OPEN).order_by(Outlet.name)
    return list(ctx.session.scalars(query.limit(MOST_OFFERED)))


def outlet_choices(ctx: Context) -> list[tuple[str, str]]:
    """Return the same as choices of a form: id, and name with branch code."""
    return [(str(one.id), f"{one.name} · {one.branch_code}" if one.branch_code else one.name) for one in own_outlets(ctx)]


def own_by_text(ctx: Context, texts: Collection[str]) -> dict[str, Outlet]:
    """Return outlets of the actor's organisation by what names them: id, branch code or name. One query; a branch code goes first."""
    wanted = {text for text in texts if text}
    if not wanted:
        return {}
    ids = [found for text in wanted if (found := _id(text)) is not None]
    named = or_(Outlet.id.in_(ids), Outlet.branch_code.in_([spelled(text) for text in wanted]), Outlet.name.in_(wanted))
    rows = list(ctx.session.scalars(_own_query(ctx).where(named)))
    by_id, by_name = {row.id: row for row in rows}, {row.name: row for row in rows}
    by_code = {row.branch_code: row for row in rows if row.branch_code}
    found_ = {text: by_code.get(spelled(text)) or by_name.get(text) or by_id.get(_id(text) or UUID(int=0)) for text in wanted}
    return {text: row for text, row in found_.items() if row is not None}


def outlets_of_units(ctx: Context, units: Collection[Unit]) -> dict[UUID, Outlet]:
    """Return the outlets at which units stand, by id, by name, whatever the scope. The caller has checked that the actor may know."""
    return outlets_by_id(ctx, {unit.outlet_id for unit in units if unit.outlet_id is not None})


def outlets_by_id(ctx: Context, ids: Collection[UUID]) -> dict[UUID, Outlet]:
    """Return these outlets by id, by name, whatever the scope. The caller has checked that the actor may know."""
    query = select(Outlet).where(among(ctx.session, Outlet.id, ids)).order_by(Outlet.name)
    return {row.id: row for row in ctx.session.scalars(query)} if ids else {}


def is_called(outlet: Outlet, text: str) -> bool:
    """Return whether a text names an outlet: its id, branch code or name."""
    return text == outlet.name or spelled(text) == outlet.branch_code or _id(text) == outlet.id


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def outlets_of(ctx: Context, units: Collection[Unit]) -> dict[UUID, Outlet]:
    """Return the outlets at which units stand, by id, within the actor's scope. No query where none stands at any."""
    ids = {unit.outlet_id for unit in units if unit.outlet_id is not None}
    return {row.id: row for row in ctx.session.scalars(outlets_query(ctx).where(Outlet.id.in_(ids)))} if ids else {}


def hold_open(ctx: Context, outlets: Collection[Outlet]) -> None:
    """Keep outlets from being closed until the transaction ends. Raise Conflict (`outlet-closed`) if one is closed already."""
    query = select(Outlet.state).where(Outlet.id.in_([one.id for one in outlets])).order_by(Outlet.id).with_for_update(read=True)
    if outlets and OutletState.CLOSED in ctx.session.scalars(query).all():
        raise Conflict(CLOSED, type="outlet-closed")


def working_at(ctx: Context, outlet_id: UUID) -> int:
    """Return the number of working units at an outlet."""
    query = select(func.count()).select_from(Unit).where(Unit.outlet_id == outlet_id, Unit.condition == UnitCondition.WORKING)
    return ctx.session.scalar(query) or 0


def find_start(ctx: Context, hardware_number: str) -> Outlet | None:
    """Return the open outlet of a unit of the actor's organisation, by the unit's hardware number, or None."""
    query = _own_query(ctx).join(Unit, Unit.outlet_id == Outlet.id)
    own = (Unit.organisation_id == ctx.actor.organisation_id, Unit.hardware_number == hardware_number, Outlet.state == OutletState.OPEN)
    return ctx.session.scalars(query.where(*own)).first() if hardware_number else None


def numbers_at(ctx: Context, outlet_id: UUID) -> set[str]:
    """Return the hardware numbers of the units of the actor's organisation that stand at an outlet."""
    own = (Unit.organisation_id == ctx.actor.organisation_id, Unit.outlet_id == outlet_id)
    return set(ctx.session.scalars(select(Unit.hardware_number).where(*own)))


def units_at(ctx: Context, outlets: Collection[Outlet]) -> dict[UUID, int]:
    """Return the number of units at each outlet that are not retired, in one query."""
    query = select(Unit.outlet_id, func.count()).where(Unit.outlet_id.in_([one.id for one in outlets]), _STANDS[1])
    return {key: number for key, number in ctx.session.execute(query.group_by(Unit.outlet_id)) if key is not None}
