"""How many cards an actor sees, by state and by model, and which units are free, without reading the cards."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Subquery,
    Uuid,
    and_,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)

from sifilma.cards.derived.models import NOBODY, CardTally, CardTallyChange, FreeUnit
from sifilma.cards.models import DeviceModel, Unit
from sifilma.identity.permissions import Operation, Scope, reach_of
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Context
from sifilma.kernel.statements import built_once

MOST_ADDED = 100
"""Changes that reading adds to a tally, of some 20 blocks each. Of more, which acts on many cards leave for the worker, pages say so."""
T, C = CardTally, CardTallyChange
IS_WORKING = FreeUnit.condition == literal_column("'working'")
"""A condition of free units. A bound value would keep a prepared plan from the indexes of working ones."""
_model = func.coalesce(Unit.model_id, literal(NOBODY, Uuid()))


def free_units_query(ctx: Context, function: str) -> Select[Any]:
    """Return a query of the working units of the actor's models without a living card, of those that they may see: organisations."""
    query = select(FreeUnit.organisation_id).where(_is_made(ctx), FreeUnit.function == function, IS_WORKING)
    return seen_free_query(query, ctx)


def seen_free_query(query: Select[Any], ctx: Context) -> Select[Any]:
    """Return a query of free units, narrowed to those that the actor may see: its own, and those of the models that it makes."""
    return scoped(query, ctx.actor, Operation.UNIT_READ, FreeUnit.organisation_id, linked=(_is_made(ctx),), unit=FreeUnit.unit_id)


def _is_made(ctx: Context) -> ColumnElement[bool]:
    return FreeUnit.model_id.in_(select(DeviceModel.id).where(DeviceModel.manufacturer_id == ctx.actor.organisation_id))


def are_few(table: Any) -> ColumnElement[bool]:
    """Return the condition that at most MOST_ADDED changes of a table are not counted yet. More are not added on reading."""
    some = select(table.id).limit(MOST_ADDED + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery() <= literal(MOST_ADDED, Integer)


def is_tallied(ctx: Context) -> bool:
    """Return whether the tally answers for the actor: it does not know outlets."""
    return ctx.actor.outlets is None


def changes(*which: Any) -> Any:
    """Return what is not added up yet: holder, buyer, model, state, amount."""
    query = select(C.holder_id, C.buyer_id, _model.label("model_id"), C.state, C.amount)
    return query.outerjoin(Unit, Unit.id == C.unit_id).where(*which)


def sums_query(changed: Subquery) -> Select[Any]:
    """Return the rows of the tally for some changes: for each a row of its holder and buyer, and one of all."""
    nobody = literal(NOBODY, Uuid())
    each = union_all(select(literal(0, Integer).label("everybody")), select(literal(1, Integer))).cte()
    is_all = each.c.everybody == 1
    owners = (case((is_all, nobody), else_=owner).label(owner.key) for owner in (changed.c.holder_id, changed.c.buyer_id))
    facts = select(*owners, changed.c.model_id, changed.c.state, changed.c.amount).join(each, each.c.everybody >= 0).subquery("facts")
    key = [facts.c[name] for name in ("holder_id", "buyer_id", "model_id", "state")]
    return select(*key, func.sum(facts.c.amount)).where(facts.c.amount != 0).group_by(*key)


def by_state(ctx: Context) -> Sequence[Any]:
    """Return states with the number of cards that the actor sees, and of those that the actor's organisation holds."""
    return [row for row in built_once.rows(ctx, _by_state_query) if row[1]]


def _by_state_query(ctx: Context, _: None) -> Any:
    every = _seen(ctx)
    own = select(T.state, literal(0, Integer), T.count).where(T.holder_id == ctx.actor.organisation_id)
    new = select(C.state, literal(0, Integer), C.amount).where(C.holder_id == ctx.actor.organisation_id, are_few(C))
    counted = union_all(select(every.c.state, every.c.count, literal(0, Integer).label("held")), own, new).subquery("counted")
    return select(counted.c.state, func.sum(counted.c.count), func.sum(counted.c.held)).group_by(counted.c.state)


def by_model(ctx: Context, state: str) -> list[tuple[str, int]]:
    """Return names of models with the number of cards in this state that the actor sees in their machines, the most first."""
    rows = built_once.rows(ctx, _by_model_query, state)
    return sorted(((name, int(count)) for name, count in rows if count), key=lambda row: (-row[1], row[0]))


def _by_model_query(ctx: Context, state: str) -> Any:
    every = _seen(ctx)
    query = select(DeviceModel.name, func.sum(every.c.count)).join(every, every.c.model_id == DeviceModel.id)
    return query.where(every.c.state == state).group_by(DeviceModel.name)


def _seen(ctx: Context) -> Subquery:
    """Return model, state and count of what the actor sees. One statement reads tally and changes: what is moved meanwhile counts once."""
    counted: Any = select(T.model_id, T.state, T.count)
    new = changes(are_few(C)).with_only_columns(_model, C.state, C.amount)
    found = reach_of(ctx.actor, Operation.CARD_VIEW)
    if Scope.ALL in found:
        return union_all(counted.where(T.holder_id == NOBODY), new).subquery("seen")
    of_owner = scoped(counted, ctx.actor, Operation.CARD_VIEW, (T.holder_id, T.buyer_id))
    if Scope.LINKED not in found:
        return union_all(of_owner, scoped(new, ctx.actor, Operation.CARD_VIEW, (C.holder_id, C.buyer_id))).subquery("seen")
    made = select(DeviceModel.id).where(DeviceModel.manufacturer_id == ctx.actor.organisation_id)
    mine = counted.where(T.holder_id == NOBODY, T.model_id.in_(made))
    own = or_(C.holder_id == ctx.actor.organisation_id, C.buyer_id == ctx.actor.organisation_id)
    new = new.where(or_(own, and_(Unit.model_id.is_not(None), Unit.model_id.in_(made))))
    return union_all(mine, of_owner.where(T.model_id.not_in(made)), new).subquery("seen")


def held_by_maker(ctx: Context, states: Collection[str]) -> dict[UUID | None, int]:
    """Return how many cards in these states the actor's organisation holds, by the maker of their machines; None for those in none."""
    rows = built_once.rows(ctx, _held_query, tuple(states))
    return {maker: int(count) for maker, count in rows if count > 0}


def _held_query(ctx: Context, states: tuple[str, ...]) -> Any:
    own = ctx.actor.organisation_id
    counted: Any = select(T.model_id, T.count).where(T.holder_id == own, T.state.in_(states))
    new = changes(are_few(C), C.holder_id == own, C.state.in_(states)).with_only_columns(_model, C.amount)
    every = union_all(counted, new).subquery("held")
    query = select(DeviceModel.manufacturer_id, func.sum(every.c.count)).select_from(every)
    return query.outerjoin(DeviceModel, DeviceModel.id == every.c.model_id).group_by(DeviceModel.manufacturer_id)
