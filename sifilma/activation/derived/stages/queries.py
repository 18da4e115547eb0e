"""The days of each stage of cards, counted from their histories, and as rows of the tally."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    String,
    Subquery,
    case,
    cast,
    exists,
    extract,
    func,
    inspect,
    literal,
    select,
    union_all,
)

from sifilma.activation.derived.models import ALL, ReaderChange, StageCalendar, StageTally
from sifilma.activation.derived.queries import bases, is_first, joined, owners
from sifilma.activation.models import Activation
from sifilma.cards.models import CARD, Card, CardState, DeviceModel
from sifilma.kernel.lifecycle import History
from sifilma.kernel.timekeeping.targets import ZONE
from sifilma.kernel.timekeeping.working_days import MONDAY, WEEK, WORKED, Calendar
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.personalisation.queries import approved_at

MONTHS = 12
EPOCH = MONDAY - date(1970, 1, 1).toordinal()  # days from the beginning of Unix time to the Monday from which weekdays are counted
MOST_HOLIDAYS = 400  # SQLite takes 500 parts of a UNION; a year has about 25
DAY = timedelta(days=1)
STAGES = {
    "approval": ("submitted", "approved"),
    "personalisation": ("approved", "personalised"),
    "bast": ("personalised", "received"),
    "activation": ("received", "manifest"),
    "all": ("submitted", "manifest"),
}
"""The stages from a letter to a manifest: the moments between which each lies."""


def digest(calendar: Calendar) -> str:
    """Return the SHA-256 (hex) of the holidays of a calendar."""
    return hashlib.sha256(",".join(day.isoformat() for day in calendar.holidays).encode()).hexdigest()


CURRENT = "current"


def is_current_query(calendar: Calendar) -> Any:
    """Return a query of one row if the days of stages were counted with this calendar, else of none, in the form of `times_query`."""
    query = select(literal(CURRENT, String).label("stage"), literal(0, Integer).label("days"), literal(1, Integer).label("cards"))
    return query.where(exists().where(StageCalendar.holidays == digest(calendar)))


def months(today: date, count: int = MONTHS) -> list[date]:
    """Return the first days of the last months, and of the next one."""
    number = today.year * 12 + today.month - count
    return [date((number + n) // 12, (number + n) % 12 + 1, 1) for n in range(count + 1)]


def month_number(first: date) -> int:
    """Return a month as StageTally counts it."""
    return first.year * 12 + first.month - 1


def beginning(first: date) -> datetime:
    """Return when a month begins."""
    return datetime.combine(first, time(), ZONE)


def first_query(*which: ColumnElement[bool]) -> Any:
    """Return the first activations of cards with what they are counted by: `card_id`, `manifest` (its moment), holder, buyer, maker."""
    whose = (Activation.organisation_id.label("holder"), Card.buyer_id.label("buyer"), DeviceModel.manufacturer_id.label("maker"))
    query = select(Activation.card_id, Activation.at.label("manifest"), *whose)
    return joined(query.select_from(Activation)).where(is_first(), *which)


def is_born(*which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that an activation is not counted yet, or that it is among some changes."""
    return Activation.id.in_(select(ReaderChange.activation_id).where(ReaderChange.former_state == "", *which))


def times_query(first_of: Subquery, holidays: Sequence[date], *named: str) -> Select[Any]:
    """Return how many cards of `first_of` took how many days for each stage: `stage`, `days`, `cards`, and some columns of `first_of`."""
    taken = _moments_query(first_of, named).cte()
    # By pairs of days first, so that holidays are looked up once for many cards.
    pairs = union_all(*(_pairs_query(taken, stage, *ends, named) for stage, ends in STAGES.items())).subquery("pairs")
    weekdays = _weekdays(pairs.c.until) - _weekdays(pairs.c.since)
    days = weekdays - _holidays(holidays, pairs.c.since, pairs.c.until)
    return select(pairs.c.stage, cast(days, Integer).label("days"), pairs.c.cards, *(pairs.c[name] for name in named))


def stage_sums_query(today: date, calendar: Calendar, *which: ColumnElement[bool]) -> Select[Any]:
    """Return the rows of StageTally for the first activations that match, of the last months."""
    firsts = months(today, MONTHS + 2)
    spans = [
        select(*(literal(number, Integer).label(name) for name, number in (
            ("month", month_number(one)), ("since", one.toordinal() - MONDAY), ("until", after.toordinal() - MONDAY))))
        for one, after in pairwise(firsts)
    ]  # fmt: skip
    span, each = union_all(*spans).cte(), bases()
    first_of = first_query(Activation.at >= beginning(firsts[0]), *which).subquery("first_of")
    times = times_query(first_of, calendar.holidays, "holder", "buyer", "maker", "day").subquery("times")
    t = times.c
    facts = (
        select(*owners(each.c.basis, t.holder, t.buyer, t.maker), each.c.basis, span.c.month, t.stage, t.days, t.cards)
        .select_from(each)
        .join(times, each.c.basis >= ALL)
        .join(span, (t.day >= span.c.since) & (t.day < span.c.until))
        .subquery("facts")
    )
    key = [facts.c[column.name] for column in inspect(StageTally).primary_key]
    return select(*key, func.sum(facts.c.cards)).where(facts.c.cards > 0).group_by(*key)


def _moments_query(first_of: Subquery, named: Sequence[str]) -> Select[Any]:
    """Return when the letter of each card was submitted and approved, the card personalised, received by its user, and first activated."""
    P = PersonalisationRequest  # noqa: N806  # as the select reads

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
    columns += [first_of.c[name] for name in named if name != "day"]
    return select(*columns).select_from(first_of).join(Card, Card.id == first_of.c.card_id).join(P, P.id == Card.personalisation_request_id)


def _pairs_query(taken: CTE, stage: str, since: str, until: str, named: Sequence[str]) -> Select[Any]:
    first, last = taken.c[since], taken.c[until]
    by = [taken.c.manifest.label("day") if name == "day" else taken.c[name] for name in named]
    query = select(literal(stage, String).label("stage"), first.label("since"), last.label("until"), func.count().label("cards"), *by)
    return query.where(last >= first).group_by(first, last, *by)


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


def unborn() -> ColumnElement[bool]:
    """Return the condition that the worker has counted an activation, or will not find it among the changes."""
    return ~exists().where(ReaderChange.activation_id == Activation.id, ReaderChange.former_state == "")
