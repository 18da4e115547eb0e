"""Counts and times of the cards that the actor sees, grouped by the database: the number of rows read does not grow with the cards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import CTE, BigInteger, ColumnElement, Integer, Select, String, and_, case, cast, extract, func, literal, select, union_all
from sqlalchemy.orm import aliased

from sifilma.activation.models import Activation
from sifilma.cards.models import CARD, Card, CardState, DeviceModel, Unit
from sifilma.cards.service import cards_query
from sifilma.kernel.context import Context
from sifilma.kernel.lifecycle import History
from sifilma.kernel.timekeeping.targets import ZONE, Targets
from sifilma.kernel.timekeeping.working_days import MONDAY, WEEK, WORKED
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.personalisation.queries import approved_at

MONTHS = 12
DAY = timedelta(days=1)
EPOCH = MONDAY - date(1970, 1, 1).toordinal()  # days from the beginning of Unix time to the Monday from which weekdays are counted
MOST_HOLIDAYS = 400  # SQLite takes 500 parts of a UNION; a year has about 25
STAGES = {
    "approval": ("submitted", "approved"),
    "personalisation": ("approved", "personalised"),
    "bast": ("personalised", "received"),
    "activation": ("received", "manifest"),
    "all": ("submitted", "manifest"),
}
"""The stages from a letter to a manifest: the moments between which each lies."""

_unit, _model = aliased(Unit), aliased(DeviceModel)  # the scope of a manufacturer names the tables themselves


def active_by_model(ctx: Context) -> list[tuple[str, int]]:
    """Return the active cards by the model of their units, the most first."""
    named = cards_query(ctx).join(_unit, _unit.id == Card.unit_id).join(_model, _model.id == _unit.model_id)
    query = named.with_only_columns(_model.name, func.count()).where(Card.state == CardState.ACTIVE).group_by(_model.name)
    return [(name, count) for name, count in ctx.session.execute(query.order_by(func.count().desc(), _model.name))]


def months(today: date) -> list[date]:
    """Return the first days of the last twelve months, and of the next one."""
    number = today.year * 12 + today.month - MONTHS
    return [date((number + n) // 12, (number + n) % 12 + 1, 1) for n in range(MONTHS + 1)]


def activations_by_month(ctx: Context, zone: ZoneInfo) -> list[tuple[date, int]]:
    """Return the number of activations in each of the last months, by the days of a zone: one column a month."""
    firsts = months(ctx.now.astimezone(zone).date())
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
    since = datetime.combine(months(ctx.now.astimezone(ZONE).date())[0], time(), ZONE)
    taken = _moments_query(ctx, since).cte("taken")
    # By pairs of days first, so that holidays are looked up once for many cards.
    pairs = union_all(*(_pairs_query(taken, stage, *ends) for stage, ends in STAGES.items())).subquery("pairs")
    weekdays = _weekdays(pairs.c.until) - _weekdays(pairs.c.since)
    days = weekdays - _holidays(targets.calendar.holidays, pairs.c.since, pairs.c.until)
    each = select(pairs.c.stage, days.label("days"), pairs.c.cards).subquery("each_pair")
    query = select(each.c.stage, each.c.days, func.sum(each.c.cards)).group_by(each.c.stage, each.c.days)
    found: dict[str, Counter[int]] = {stage: Counter() for stage in STAGES}
    for stage, spent, cards in ctx.session.execute(query):
        found[stage][int(spent)] = int(cards)
    return found


def _moments_query(ctx: Context, since: datetime) -> Select[Any]:
    """Return when the letter of each card was submitted and approved, the card personalised, received by its user, and first activated."""
    P = PersonalisationRequest  # noqa: N806  # as the select reads
    seen = Activation.card_id.in_(cards_query(ctx).with_only_columns(Card.id))
    began = func.min(Activation.at)
    recent = select(Activation.card_id).where(Activation.at >= since)
    first = select(Activation.card_id, began.label("manifest")).where(seen, Activation.card_id.in_(recent)).group_by(Activation.card_id)
    first_of = first.having(began >= since).subquery("first_of")

    def step(state: CardState) -> Select[Any]:
        return select(func.max(History.at)).where(
            History.object_kind == CARD.kind, History.object_id == Card.id, History.to_state == state, History.at <= first_of.c.manifest
        )

    moments = {
        "submitted": P.submitted_at,
        "approved": approved_at(),
        "personalised": step(CardState.PERSONALISED).correlate(Card, first_of).scalar_subquery(),
        "received": step(CardState.RECEIVED).correlate(Card, first_of).scalar_subquery(),
        "manifest": first_of.c.manifest,
    }
    columns: list[Any] = [_day_number(moment).label(name) for name, moment in moments.items()]
    return select(*columns).select_from(first_of).join(Card, Card.id == first_of.c.card_id).join(P, P.id == Card.personalisation_request_id)


def _pairs_query(taken: CTE, stage: str, since: str, until: str) -> Select[Any]:
    first, last = taken.c[since], taken.c[until]
    query = select(literal(stage, String).label("stage"), first.label("since"), last.label("until"), func.count().label("cards"))
    return query.where(last >= first).group_by(first, last)


def _day_number(moment: Any) -> ColumnElement[int]:
    """Return the day of a moment in ZONE, which has no summer time, as the number of days since a Monday. Seconds are rounded."""
    ahead = int(datetime(2026, 1, 1, tzinfo=ZONE).utcoffset().total_seconds())  # type: ignore[union-attr]  # it has a zone
    return cast((cast(extract("epoch", moment), BigInteger) + ahead) // int(DAY.total_seconds()) - EPOCH, Integer)


def _weekdays(day: Any) -> ColumnElement[int]:
    """Return the number of weekdays up to and with a day (`Calendar._index` without holidays)."""
    rest = day % WEEK + 1
    weekdays: ColumnElement[int] = day // WEEK * WORKED + case((rest > WORKED, WORKED), else_=rest)
    return weekdays


def _holidays(days: Sequence[date], since: Any, until: Any) -> ColumnElement[int]:
    """Return the number of holidays after one day up to and with another."""
    if not days:
        return literal(0, Integer)
    off = _off(tuple(days[-MOST_HOLIDAYS:]))
    return select(func.count()).select_from(off).where(off.c.day > since, off.c.day <= until).scalar_subquery()


@lru_cache(maxsize=2)  # an installation has one list of holidays
def _off(days: tuple[date, ...]) -> CTE:
    """Return the holidays as a table of numbers of days."""
    numbers = [select(literal(day.toordinal() - MONDAY, Integer).label("day")) for day in days]
    return union_all(*numbers).cte("off")
