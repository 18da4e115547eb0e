"""What can be read of outlets."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Select, exists, func, or_, select

from sifilma.cards.models import Unit, UnitCondition
from sifilma.cards.outlets.models import Outlet
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.paging import Listing

MOST_OFFERED = 1000
_STANDS = (Unit.outlet_id == Outlet.id, Unit.condition != UnitCondition.RETIRED)


def outlets_query(ctx: Context, operation: Operation = Operation.OUTLET_SEE) -> Select[Outlet]:
    """Return a query of the outlets the actor may see."""
    return scoped(select(Outlet), ctx.actor, operation, Outlet.organisation_id)


def named_outlets_query(ctx: Context, text: str) -> Select[Outlet]:
    """Return a query of the outlets with exactly this name or branch code that the actor may see."""
    return outlets_query(ctx).where(or_(Outlet.name == text, Outlet.branch_code == spelled(text)))


def spelled(branch_code: str) -> str:
    """Return a branch code as it is kept and compared: upper case, without spaces."""
    return "".join(branch_code.split()).upper()


def list_outlets(ctx: Context, text: str = "", units: str = "") -> Listing[Outlet]:
    """Return the outlets the actor may see, by a part of name, branch code or address, and `with` or `without` units."""
    query = outlets_query(ctx)
    if text:
        code = Outlet.branch_code.contains(spelled(text), autoescape=True)
        query = query.where(or_(Outlet.name.icontains(text, autoescape=True), Outlet.address.icontains(text, autoescape=True), code))
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


def get_outlet(ctx: Context, outlet_id: UUID, operation: Operation = Operation.OUTLET_SEE) -> Outlet:
    """Return one outlet. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(outlets_query(ctx, operation).where(Outlet.id == outlet_id)).first()
    if found is None:
        raise NotFound()
    return found


def own_outlets(ctx: Context) -> list[Outlet]:
    """Return the outlets of the actor's organisation by name, at most MOST_OFFERED."""
    query = select(Outlet).where(Outlet.organisation_id == ctx.actor.organisation_id).order_by(Outlet.name)
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
    rows = list(ctx.session.scalars(select(Outlet).where(Outlet.organisation_id == ctx.actor.organisation_id, named)))
    by_id, by_name = {row.id: row for row in rows}, {row.name: row for row in rows}
    by_code = {row.branch_code: row for row in rows if row.branch_code}
    found_ = {text: by_code.get(spelled(text)) or by_name.get(text) or by_id.get(_id(text) or UUID(int=0)) for text in wanted}
    return {text: row for text, row in found_.items() if row is not None}


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def outlets_of(ctx: Context, units: Collection[Unit]) -> dict[UUID, Outlet]:
    """Return the outlets at which units stand, by id, within the actor's scope. No query where none stands at any."""
    ids = {unit.outlet_id for unit in units if unit.outlet_id is not None}
    return {row.id: row for row in ctx.session.scalars(outlets_query(ctx).where(Outlet.id.in_(ids)))} if ids else {}


def find_start(ctx: Context, hardware_number: str) -> Outlet | None:
    """Return the outlet of a unit of the actor's organisation, by the unit's hardware number, or None."""
    query = select(Outlet).join(Unit, Unit.outlet_id == Outlet.id)
    own = (Unit.organisation_id == ctx.actor.organisation_id, Unit.hardware_number == hardware_number)
    return ctx.session.scalars(query.where(*own)).first() if hardware_number else None


def numbers_at(ctx: Context, outlet_id: UUID) -> set[str]:
    """Return the hardware numbers of the units of the actor's organisation that stand at an outlet."""
    own = (Unit.organisation_id == ctx.actor.organisation_id, Unit.outlet_id == outlet_id)
    return set(ctx.session.scalars(select(Unit.hardware_number).where(*own)))


def units_at(ctx: Context, outlets: Collection[Outlet]) -> dict[UUID, int]:
    """Return the number of units at each outlet that are not retired, in one query."""
    query = select(Unit.outlet_id, func.count()).where(Unit.outlet_id.in_([one.id for one in outlets]), _STANDS[1])
    return {key: number for key, number in ctx.session.execute(query.group_by(Unit.outlet_id)) if key is not None}
