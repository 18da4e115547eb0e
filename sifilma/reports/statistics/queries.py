"""Counts and times of the cards that the actor sees, from tallies: what is read does not grow with the cards.

Those who are limited to outlets see few cards, and the tallies do not know outlets: for them cards are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, case, func, select, union_all
from sqlalchemy.orm import aliased

from sifilma.activation.derived.queries import activations_by_day, is_tallied, tallied_stages, untallied
from sifilma.activation.derived.stages.queries import (
    CURRENT,
    STAGES,
    beginning,
    first_query,
    is_born,
    is_current_query,
    month_number,
    months,
    times_query,
)  # fmt: skip
from sifilma.activation.models import Activation
from sifilma.cards.derived import queries as derived
from sifilma.cards.models import Card, CardState, DeviceModel, Unit
from sifilma.cards.queries import cards_query
from sifilma.kernel.context import Context
from sifilma.kernel.statements import built_once
from sifilma.kernel.timekeeping.targets import ZONE, Targets
from sifilma.kernel.timekeeping.working_days import Calendar

_unit, _model = aliased(Unit), aliased(DeviceModel)  # the scope of a manufacturer names the tables themselves


def active_by_model(ctx: Context) -> list[tuple[str, int]]:
    """Return the active cards by the model of their units, the most first."""
    if derived.is_tallied(ctx):
        return derived.by_model(ctx, CardState.ACTIVE)
    named = cards_query(ctx).join(_unit, _unit.id == Card.unit_id).join(_model, _model.id == _unit.model_id)
    query = named.with_only_columns(_model.name, func.count()).where(Card.state == CardState.ACTIVE).group_by(_model.name)
    return [(name, count) for name, count in ctx.session.execute(query.order_by(func.count().desc(), _model.name))]


def activations_by_month(ctx: Context, zone: ZoneInfo) -> list[tuple[date, int]]:
    """Return the number of activations in each of the last months, by the days of a zone."""
    firsts = months(ctx.now.astimezone(zone).date())
    if is_tallied(ctx):
        counted = Counter[date]()
        for day, count in activations_by_day(ctx, zone, firsts[0]).items():
            counted[day.replace(day=1)] += count
        return [(first, counted[first]) for first in firsts[:-1]]
    seen = Activation.card_id.in_(cards_query(ctx).with_only_columns(Card.id))
    recent = and_(Activation.at >= datetime.combine(firsts[0], time(), zone), Activation.stated_by.is_(None))  # what somebody asked for
    row = ctx.session.execute(select(*_counted(tuple(firsts), zone)).where(seen, recent)).one()
    return [(first, int(count)) for first, count in zip(firsts, row, strict=False)]


@lru_cache(maxsize=6)  # the present month in the three zones, and the one before
def _counted(firsts: tuple[date, ...], zone: ZoneInfo) -> list[ColumnElement[int]]:
    """Return the column of each month: how many activations lie within it."""
    starts = [datetime.combine(first, time(), zone) for first in firsts]
    within = [(Activation.at >= start) & (Activation.at < end) for start, end in pairwise(starts)]
    return [func.coalesce(func.sum(case((inside, 1), else_=0)), 0) for inside in within]


def times(ctx: Context, targets: Targets) -> dict[str, Counter[int]]:
    """Return for each stage how many cards took how many working days, of the cards first activated in the last twelve months."""
    since = months(ctx.now.astimezone(ZONE).date())[0]
    if is_tallied(ctx):
        found = _by_stage(built_once.rows(ctx, _times_query, (since, targets.calendar)))
        if found.pop(CURRENT, None):
            return {stage: found.get(stage, Counter()) for stage in STAGES}
    every = times_query(_all_query(ctx, beginning(since)).subquery("first_of"), targets.calendar.holidays)
    found = _by_stage(ctx.session.execute(_summed(every)).all())
    return {stage: found.get(stage, Counter()) for stage in STAGES}


def _times_query(ctx: Context, wanted: tuple[date, Calendar]) -> Select[Any]:
    """Return the query of the tallied stages of the months since one, with those that are not counted yet, by the days of a calendar."""
    since, calendar = wanted
    new = untallied(first_query(is_born(), Activation.at >= beginning(since)), ctx).subquery("first_of")
    every = (tallied_stages(ctx, month_number(since)), times_query(new, calendar.holidays), is_current_query(calendar))
    return _summed(union_all(*every))


def _summed(query: Any) -> Select[Any]:
    each = query.subquery("each_pair")
    return select(each.c.stage, each.c.days, func.sum(each.c.cards)).group_by(each.c.stage, each.c.days)


def _by_stage(rows: Sequence[Any]) -> dict[str, Counter[int]]:
    found: dict[str, Counter[int]] = {}
    for stage, spent, cards in rows:
        found.setdefault(stage, Counter())[int(spent)] = int(cards)
    return found


def _all_query(ctx: Context, since: datetime) -> Any:
    """Return the first activations since a moment of the cards that the actor sees."""
    seen = Activation.card_id.in_(cards_query(ctx).with_only_columns(Card.id))
    began = func.min(Activation.at)
    recent = select(Activation.card_id).where(Activation.at >= since)
    first = select(Activation.card_id, began.label("manifest")).where(seen, Activation.card_id.in_(recent)).group_by(Activation.card_id)
    return first.having(began >= since)
