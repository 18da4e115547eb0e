"""The tallies as an actor sees them, each with the changes that are not counted yet: one statement reads both.

What the worker moves from the changes to a tally meanwhile is counted once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Subquery,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    exists,
    extract,
    func,
    inspect,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import aliased

from sifilma.activation.derived.models import ALL, LEVELS, MADE, OWNED, ZONES, ActivationTally, ReaderChange, ReaderTally, StageTally
from sifilma.activation.grid import SOUTH_E7, cell_size
from sifilma.activation.models import Activation, ManifestState
from sifilma.cards.derived.models import NOBODY, CardTallyChange
from sifilma.cards.derived.queries import MOST_ADDED, are_few
from sifilma.cards.models import Card, DeviceModel, Unit
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation, Scope, reach_of
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Context
from sifilma.kernel.statements import built_once

E7 = 10_000_000
"""Positions are whole numbers of 1e-7 degrees."""
HOUR, DAY = 3_600, 86_400
STANDING = (ManifestState.ACTIVE.value, ManifestState.SUSPENDED.value)
Rows: TypeAlias = Any
"""A select of any columns: its type would name them all."""
_earlier = aliased(Activation)
_nobody = literal(NOBODY, Uuid())


def level_of(zoom: int) -> int | None:
    """Return the coarsest tallied grid that is fine enough for a zoom; None for zooms that show few readers."""
    return next((level for level in LEVELS if level >= zoom), None)


def is_tallied(ctx: Context) -> bool:
    """Return whether the tallies answer for the actor: they do not know outlets."""
    return ctx.actor.outlets is None


@dataclass(frozen=True)
class Lag:
    """More than `most` changes are not counted yet. `since` is the moment of the oldest activation among them, if there is one."""

    most: int
    since: datetime | None


def find_lag(ctx: Context) -> Lag | None:
    """Return what the tallies lack, where it is too much to be added on reading; else None."""
    readers, cards, at = built_once.rows(ctx, _lag_query)[0]
    return Lag(MOST_ADDED, at if readers else None) if readers or cards else None


def _lag_query(_ctx: Context, _: None) -> Rows:
    readers_few, cards_few = are_few(ReaderChange), are_few(CardTallyChange)
    oldest = select(ReaderChange.activation_id).order_by(ReaderChange.id).limit(1).scalar_subquery()
    return select(~readers_few, ~cards_few, select(Activation.at).where(Activation.id == oldest).scalar_subquery())


def tallied(query: Rows, ctx: Context, table: Any) -> Rows:
    """Restrict a query of a tally to what the actor sees of cards."""
    found = reach_of(ctx.actor, Operation.CARD_VIEW)
    if Scope.ALL in found:
        return query.where(table.owner_id == NOBODY, table.basis == ALL)
    basis: ColumnElement[bool] = table.basis == OWNED
    if Scope.LINKED in found:  # what is in the actor's machines stands among those of MADE already
        basis = or_(table.basis == MADE, and_(basis, table.maker_id != ctx.actor.organisation_id))
    return scoped(query, ctx.actor, Operation.CARD_VIEW, (table.owner_id, table.buyer_id)).where(basis)


def untallied(query: Rows, ctx: Context) -> Rows:
    """Restrict a query of what is not counted yet (`joined`) to the same. Where that is much, nothing of it is added (`find_lag`)."""
    query = query.where(are_few(ReaderChange))
    made = DeviceModel.manufacturer_id == ctx.actor.organisation_id
    return scoped(query, ctx.actor, Operation.CARD_VIEW, (Activation.organisation_id, Card.buyer_id), linked=(made,))


# --- what is counted -------------------------------------------------------------------------------------------------------


def moved(*which: ColumnElement[bool]) -> Subquery:
    """Return the readers that came (1) and went (-1) by some changes, or by all: activation, state, amount."""
    came = select(ReaderChange.activation_id, ReaderChange.state.label("state"), literal(1, Integer).label("amount"))
    went = select(ReaderChange.activation_id, ReaderChange.former_state, literal(-1, Integer))
    both = (came.where(ReaderChange.state.in_(STANDING), *which), went.where(ReaderChange.former_state.in_(STANDING), *which))
    return union_all(*both).subquery("moved")


def joined(query: Rows) -> Rows:
    """Join what the tallies count by to a query of activations."""
    query = query.join(Card, Card.id == Activation.card_id)
    query = query.join(Unit, Unit.id == Activation.unit_id).join(DeviceModel, DeviceModel.id == Unit.model_id)
    return query.join(Organisation, Organisation.id == Activation.organisation_id)


def day_of(moment: Any, hours: Any) -> ColumnElement[int]:
    """Return the day of a moment in a zone, as the number of days since 1970-01-01. Seconds are rounded."""
    return cast((cast(extract("epoch", moment), BigInteger) + hours * HOUR) // DAY, Integer)


def bases() -> CTE:
    """Return the three bases as a table."""
    return union_all(*(select(literal(basis, Integer).label("basis")) for basis in (ALL, MADE, OWNED))).cte()


def owners(basis: Any, holder: Any, buyer: Any, maker: Any) -> list[ColumnElement[UUID]]:
    """Return `owner_id`, `buyer_id` and `maker_id` of a row of a basis."""
    is_own = and_(basis == OWNED, or_(maker == holder, maker == buyer))
    return [
        case((basis == ALL, _nobody), (basis == MADE, maker), else_=holder).label("owner_id"),
        case((basis == OWNED, buyer), else_=_nobody).label("buyer_id"),
        case((is_own, maker), else_=_nobody).label("maker_id"),
    ]


def reader_sums_query(readers: Subquery) -> Select[Any]:
    """Return the rows of ReaderTally for some readers (`moved`)."""
    grids = union_all(
        *(select(literal(one, Integer).label("level"), literal(cell_size(one), Integer).label("size")) for one in LEVELS)
    ).cte()
    each, A = bases(), Activation  # noqa: N806  # as the select reads
    facts = joined(
        select(
            *owners(each.c.basis, A.organisation_id, Card.buyer_id, DeviceModel.manufacturer_id), each.c.basis, grids.c.level,
            ((A.latitude_e7 + SOUTH_E7) // grids.c.size).label("cell_north"), (A.longitude_e7 // grids.c.size).label("cell_east"),
            func.substr(A.region_code, 1, 5).label("regency"), Card.function.label("function"), readers.c.state.label("state"),
            Organisation.kind.label("kind"), readers.c.amount.label("amount"), A.latitude_e7, A.longitude_e7, A.region_code,
        )
        .select_from(readers)
        .join(A, A.id == readers.c.activation_id)
    ).join(each, each.c.basis >= ALL).join(grids, grids.c.size > 0).subquery("facts")  # fmt: skip
    f = facts.c
    key = [f[column.name] for column in inspect(ReaderTally).primary_key]
    sums = [func.sum(f.amount), func.sum(f.amount * cast(f.latitude_e7, BigInteger)), func.sum(f.amount * cast(f.longitude_e7, BigInteger))]
    bounds = [func.min(f.latitude_e7), func.min(f.longitude_e7), func.max(f.latitude_e7), func.max(f.longitude_e7)]
    return select(*key, *sums, *bounds, func.min(f.region_code), func.max(f.region_code)).where(f.level > 0).group_by(*key)


def activation_sums_query(activations: Subquery) -> Select[Any]:
    """Return the rows of ActivationTally for some activations (`activation_id`): those that somebody asked for."""
    zones = union_all(*(select(literal(hours, Integer).label("zone")) for hours in ZONES)).cte()
    each = bases()
    facts = joined(
        select(
            *owners(each.c.basis, Activation.organisation_id, Card.buyer_id, DeviceModel.manufacturer_id), each.c.basis, zones.c.zone,
            day_of(Activation.at, zones.c.zone).label("day"),
        )
        .select_from(activations)
        .join(Activation, and_(Activation.id == activations.c.activation_id, Activation.stated_by.is_(None)))
    ).join(each, each.c.basis >= ALL).join(zones, zones.c.zone > 0).subquery("facts")  # fmt: skip
    key = [facts.c[column.name] for column in inspect(ActivationTally).primary_key]
    return select(*key, func.count()).where(facts.c.zone > 0).group_by(*key)


def born(*which: ColumnElement[bool]) -> Subquery:
    """Return the activations whose manifests came by some changes, or by all."""
    return select(ReaderChange.activation_id).where(ReaderChange.former_state == "", *which).subquery("born")


def is_first() -> ColumnElement[bool]:
    """Return the condition that an activation is the first of its card."""
    return ~exists().where(_earlier.card_id == Activation.card_id, _earlier.id < Activation.id)


# --- what is read ----------------------------------------------------------------------------------------------------------


def readers(ctx: Context, level: int) -> Subquery:
    """Return the counted readers that the actor sees on a grid, one row or more for each cell, regency, function, state and kind.

    `count` may be negative in a row: who went since the worker counted. The sums say how many there are.
    """
    T, A, size, gone = ReaderTally, Activation, cell_size(level), moved()  # noqa: N806  # as the select reads
    counted: Rows = select(
        T.cell_north, T.cell_east, T.regency, T.function, T.state, T.kind, T.count, T.latitude, T.longitude,
        T.south, T.west, T.north, T.east, T.first_code, T.last_code,
    ).where(T.level == level, T.count != 0)  # fmt: skip
    amount, north, east = gone.c.amount, A.latitude_e7, A.longitude_e7
    tail = joined(
        select(
            ((north + SOUTH_E7) // size).label("cell_north"), (east // size).label("cell_east"), func.substr(A.region_code, 1, 5),
            Card.function, gone.c.state, Organisation.kind, amount, amount * cast(north, BigInteger), amount * cast(east, BigInteger),
            north, east, north, east, A.region_code, A.region_code,
        )
        .select_from(gone)
        .join(A, A.id == gone.c.activation_id)
    )  # fmt: skip
    # By itself: the conditions of whoever asks would have PostgreSQL begin at the activations, and read all changes for each.
    new = untallied(tail, ctx).cte().prefix_with("MATERIALIZED", dialect="postgresql")
    return union_all(tallied(counted, ctx, T), select(*new.c)).subquery("readers")


def standing_number(ctx: Context, state: str) -> int | None:
    """Return how many manifests in this state the actor's organisation has, for an actor who sees those of no other; else None."""
    scopes = reach_of(ctx.actor, Operation.MANIFEST_VIEW)
    if state not in STANDING or not is_tallied(ctx) or scopes != {Scope.OWN}:
        return None
    return int(built_once.rows(ctx, _standing_query, state)[0][0] or 0)


def _standing_query(ctx: Context, state: str) -> Rows:
    own, T, gone = ctx.actor.organisation_id, ReaderTally, moved()  # noqa: N806  # as the select reads
    counted: Rows = select(T.count).where(T.owner_id == own, T.basis == OWNED, T.level == LEVELS[0], T.state == state)
    tail: Rows = select(gone.c.amount).join(Activation, Activation.id == gone.c.activation_id)
    tail = tail.where(Activation.organisation_id == own, gone.c.state == state, are_few(ReaderChange))
    every = union_all(counted, tail).subquery("standing")
    return select(func.sum(every.c.count))


def activations_by_day(ctx: Context, zone: ZoneInfo, since: date, *, held: bool = False) -> dict[date, int]:
    """Return the number of activations on each day of a zone since a day: of the cards the actor sees, or of those `held` only."""
    hours = int(ctx.now.astimezone(zone).utcoffset().total_seconds()) // HOUR  # type: ignore[union-attr]  # it has a zone
    first = since.toordinal() - date(1970, 1, 1).toordinal()
    rows = built_once.rows(ctx, _by_day_query, (hours, held), {"first": first})
    start = date(1970, 1, 1)
    return {start + timedelta(days=day): int(count) for day, count in rows if day >= first}


def _by_day_query(ctx: Context, wanted: tuple[int, bool]) -> Rows:
    """Return the query of days since 1970, from `first` on, with their activations: by the zone's hours, of the cards held or of all."""
    hours, held = wanted
    T, new = ActivationTally, born()  # noqa: N806  # as the select reads
    counted: Rows = select(T.day, T.count).where(T.zone == hours, T.day >= bindparam("first", type_=Integer))
    each = select(day_of(Activation.at, hours).label("day"), literal(1, Integer)).select_from(new)
    tail: Rows = joined(each.join(Activation, Activation.id == new.c.activation_id))
    if held and Scope.ALL not in reach_of(ctx.actor, Operation.CARD_VIEW):
        counted = scoped(counted, ctx.actor, Operation.CARD_VIEW, T.owner_id).where(T.basis == OWNED)
        tail = scoped(tail, ctx.actor, Operation.CARD_VIEW, Activation.organisation_id).where(are_few(ReaderChange))
    else:
        counted, tail = tallied(counted, ctx, T), untallied(tail, ctx)
    every = union_all(counted, tail).subquery("every_day")
    return select(every.c.day, func.sum(every.c.count)).group_by(every.c.day)


def tallied_stages(ctx: Context, since: int) -> Rows:
    """Return a query of the counted cards by stage and days, of the months since one."""
    query: Rows = select(StageTally.stage, StageTally.days, StageTally.count.label("cards")).where(StageTally.month >= since)
    return tallied(query, ctx, StageTally)
