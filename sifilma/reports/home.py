"""The home page: what waits for the actor, what the actor waits for, what expires soon, and counts.

The number of queries does not depend on the amount of data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    Select,
    String,
    Uuid,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.orm import aliased

from sifilma.access_review.models import AccessReview, AccessReviewLine
from sifilma.access_review.queries import is_late, undecided
from sifilma.activation.derived.queries import activations_by_day, is_tallied
from sifilma.activation.models import Activation, Manifest, ManifestState, Token
from sifilma.activation.queries import IS_OPEN, activations_query, manifests_query, tokens_query
from sifilma.assignment import queries as assignment
from sifilma.audit.models import REFUSED_SEALS, Action, AuditEntry
from sifilma.cards.derived import queries as derived
from sifilma.cards.models import Card, CardState
from sifilma.cards.queries import cards_query
from sifilma.destruction.form_choices import CAUSES
from sifilma.documents.indonesian import zone_of
from sifilma.identity.models import Organisation, User, UserRole, counts
from sifilma.identity.permissions import Operation, Scope, grants, reach_of
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.db import UtcDateTime
from sifilma.kernel.statements import built_once
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.timekeeping.targets import Targets
from sifilma.oversight.models import Agreement
from sifilma.reports import card_page, tasks_waiting
from sifilma.reports.task_labels import TARGETED, TASKS
from sifilma.reports.way import line_queries
from sifilma.reports.way import queries as life

# Lines shown of each list.
SHOWN = 12
TASKS_A_PAGE = 50
TOKENS_WITHIN = timedelta(days=7)
MANIFESTS_WITHIN = timedelta(days=90)
AGREEMENTS_WITHIN = timedelta(days=90)
MOST_LAPSING = 200
"""Manifests that are counted of those that expire soon."""
KEYS_WITHIN = (30,)
DAYS = 30
Selects = Callable[[Context], Iterable[Select[Any]]]
_settled = aliased(AuditEntry)  # made once: to make an alias takes longer than the rest of its condition


@dataclass(frozen=True)
class Line:
    """One task. `key` is the object's id. `at` is since when it waits, or when it expires; `until` is its deadline, if it has one.

    `due` is the day that its service target names, `late` by how many working days it has passed. `holder` is the name of whoever has
    the work, for those who divide it, and `is_mine` whether that is the actor.
    """

    task: str
    key: UUID
    title: str
    organisation: str
    at: datetime
    count: int
    until: datetime | None
    due: date | None = None
    late: int = 0
    holder: str = ""
    is_mine: bool = False


@dataclass(frozen=True)
class Shown:
    """Which lines of a list are shown: how many, after how many others; only late ones; by who has them (`assignment.narrowed`)."""

    limit: int = SHOWN
    offset: int = 0
    late: bool = False
    holder: str = ""


@dataclass(frozen=True)
class Lines:
    """Some lines, oldest first, the number of all, and of those that are late."""

    items: list[Line]
    total: int
    late: int = 0


@dataclass(frozen=True)
class AgreementEnd:
    """An agreement (PKS) and its last day."""

    organisation_id: UUID
    organisation: str
    number: str
    until: date


@dataclass(frozen=True)
class Home:
    """What the home page shows. `cards` counts by state, in the order of a card's life. `days` counts activations by day, up to today.

    `to_destroy` counts the cards that wait for their destruction at the actor's organisation, which must destroy what it holds (`own`); for
    those who only oversee, all that they see. `activated_today` counts cards, `today` is the day in the actor's zone.
    """

    waiting: Lines
    awaited: Lines
    lapsing: Lines
    agreements: list[AgreementEnd]
    cards: list[tuple[str, int]]
    to_destroy: int
    own: bool
    activated_today: int
    today: date
    days: list[tuple[date, int]]


def home(ctx: Context, targets: Targets) -> Home:
    """Return everything the home page shows, within the actor's scope."""
    today = ctx.now.astimezone(zone_of(ctx.actor.region_code)).date()
    days = _days(ctx)
    cards, to_destroy, activated_today = _cards(ctx, days or [(today, 0)])
    return Home(
        waiting=_lines(ctx, tasks_waiting.waiting, targets),
        awaited=_lines(ctx, tasks_waiting.awaited, targets),
        lapsing=_lines(ctx, lapsing, targets),
        agreements=agreements(ctx),
        cards=cards,
        to_destroy=to_destroy,
        own=card_page.destroys(ctx),
        activated_today=activated_today,
        today=today,
        days=days,
    )


def refused_rows_query(ctx: Context) -> Select[int]:
    """Return the query of how many rows without a valid seal were presented within DAYS, and nobody has vouched for or ended since."""
    since, settled = ctx.now - timedelta(days=DAYS), _settled
    later = select(settled.id).where(
        settled.object_kind == AuditEntry.object_kind,
        settled.object_id == AuditEntry.object_id,
        settled.id > AuditEntry.id,
        settled.action.in_((Action.SEAL_VOUCH, Action.SEAL_END)),
    )
    rows = (
        select(AuditEntry.object_kind, AuditEntry.object_id).where(text(REFUSED_SEALS), AuditEntry.at > since, ~later.exists()).distinct()
    )
    return select(func.count()).select_from(rows.subquery())


def list_tasks(ctx: Context, targets: Targets, *, late: bool, page: int, holder: str = "") -> Lines:
    """Return a page (from 1) of everything that waits for the actor, or of what is late of it, or by who has it."""
    return _lines(ctx, tasks_waiting.waiting, targets, Shown(TASKS_A_PAGE, (page - 1) * TASKS_A_PAGE, late, holder))


def _lines(ctx: Context, which: Selects, targets: Targets, shown: Shown = Shown()) -> Lines:  # frozen
    """Return the rows of all selects as one list, in one query."""
    holder = shown.holder if shown.holder in assignment.FILTERS else ""
    values = {"limit": shown.limit, "offset": shown.offset, **late_values(targets, ctx.now)}
    rows = built_once.rows(ctx, lines_query, (which, shown.late, holder), values)
    lines = [_dated(ctx, _line(ctx, row), targets) for row in rows]
    return Lines(lines, rows[0][7], int(rows[0][8])) if rows else Lines([], 0)


def lines_query(ctx: Context, wanted: tuple[Selects, bool, str]) -> Select[Any] | None:
    """Return the query of a list, of all its lines or of those that are late, by who has them. It has the values that `_lines` gives it."""
    which, late, holder = wanted
    found = list(which(ctx))
    if not found:
        return None
    every = union_all(*found).subquery()
    late_ones = overdue(every.c)
    query = select(every, func.count().over(), func.sum(case((late_ones, 1), else_=0)).over())
    if grants(ctx.actor, Operation.WORK_ASSIGN):  # others are told of no assignment
        held = assignment.named_query(ctx).subquery()
        query = query.add_columns(held.c.name, held.c.user_id).outerjoin(held, held.c.object_id == every.c.key)
    if late:
        query = query.where(late_ones)
    if holder:
        query = query.where(assignment.narrowed(ctx, every.c.key, holder))
    limit, offset = bindparam("limit", type_=Integer), bindparam("offset", type_=Integer)
    return query.order_by(every.c.at, every.c.key, every.c.task).limit(limit).offset(offset)


def _line(ctx: Context, row: Any) -> Line:
    """Return the line of a row: the seven common columns, two sums, and the name and account of whoever has the work, if that is told."""
    line = Line(*row[:7])
    name, user_id = row[9:] or ("", None)
    return line if user_id is None else replace(line, holder=name, is_mine=user_id == ctx.actor.user_id)


def overdue(columns: Any) -> ColumnElement[bool]:
    """Return the condition that a task is late, with the values of `late_values`."""
    return or_(
        *(and_(columns.task.in_(names), columns.at < bindparam(f"late_{name}", type_=UtcDateTime)) for name, names in TARGETED.items())
    )


def late_values(targets: Targets, now: datetime) -> dict[str, datetime | None]:
    """Return before which moment a task of each target must have begun to wait to be late. Without a target nothing is before it (NULL)."""
    return {f"late_{name}": targets.late_before(name, now) for name in TARGETED}


def _dated(ctx: Context, line: Line, targets: Targets) -> Line:
    name = TASKS[line.task].target
    return replace(line, due=targets.due(name, line.at), late=targets.late(name, line.at, ctx.now))


def lapsing(ctx: Context) -> life.Lines:
    """Yield selects of unused tokens, API keys and active manifests that expire soon, and of temporary roles, however long they last."""
    if grants(ctx.actor, Operation.TOKEN_SEE):
        issued = tokens_query(ctx, Operation.TOKEN_SEE).where(IS_OPEN)
        soon = issued.where(Token.expires_at.between(ctx.now, ctx.now + TOKENS_WITHIN))
        yield life.tokens_query(soon, "token_lapses", func.min(Token.expires_at))
    if grants(ctx.actor, Operation.API_KEYS):
        yield tasks_waiting.keys_query(ctx, KEYS_WITHIN)
    if grants(ctx.actor, Operation.MANIFEST_VIEW):
        ending = manifests_query(ctx).where(
            Manifest.state == ManifestState.ACTIVE, Manifest.expires_at <= ctx.now + MANIFESTS_WITHIN, Card.id == Manifest.card_id
        )
        lapses = line_queries.line_query(ending, "manifest_lapses", Manifest.id, Card.uid, Manifest.organisation_id, Manifest.expires_at)
        # An agreement's end takes thousands with it: they are counted no further than they are worth, by the index of their ends.
        yield select(lapses.order_by(Manifest.expires_at, Manifest.id).limit(MOST_LAPSING + 1).subquery())
    yield temporary_roles_query(ctx)
    yield unconfirmed_query(ctx)


def unconfirmed_query(ctx: Context) -> Select[Any]:
    """Return a select of the actor's account where a review of it is late: without a decision it will be disabled."""
    mine = select(AccessReviewLine).where(
        AccessReviewLine.user_id == ctx.actor.user_id,
        undecided(),
        AccessReview.id == AccessReviewLine.review_id,
        is_late(ctx.now),
    )
    return line_queries.line_query(
        mine, "account_unconfirmed", AccessReview.id, literal("", String), AccessReview.organisation_id, AccessReview.ends_at
    )


def temporary_roles_query(ctx: Context) -> Select[Any]:
    """Return a select of the actor's roles that were given until a day."""
    mine = select(UserRole).where(UserRole.user_id == ctx.actor.user_id, counts(ctx.now), UserRole.ends_at.is_not(None))
    of_account = mine.where(User.id == UserRole.user_id)
    return line_queries.line_query(of_account, "role_ends", UserRole.id, UserRole.role, User.organisation_id, UserRole.ends_at)


def agreements(ctx: Context, limit: int = SHOWN) -> list[AgreementEnd]:
    """Return the last agreements that end soon: of the actor's institution, also if it has ended; for central people of all."""
    mine = ctx.actor.organisation_kind is OrganisationKind.INSTITUTION
    if not mine and not (ctx.actor.is_central and grants(ctx.actor, Operation.CARD_VIEW)):
        return []
    today = ctx.now.astimezone(zone_of(ctx.actor.region_code)).date()
    asked = {"own": ctx.actor.organisation_id} if mine else {"today": today}
    rows = _ends(mine=mine).read(ctx.session, {"latest": today + AGREEMENTS_WITHIN, "most": limit} | asked)
    return [AgreementEnd(*row) for row in rows]


@cache
def _ends(*, mine: bool) -> Prepared:
    end = func.max(Agreement.valid_until)
    last = select(Agreement.organisation_id, end.label("until")).group_by(Agreement.organisation_id)
    last = last.having(end <= bindparam("latest", type_=Date()))
    if mine:
        last = last.where(Agreement.organisation_id == bindparam("own", type_=Uuid()))
    else:
        last = last.having(end >= bindparam("today", type_=Date()))
    ends = last.subquery()
    query = select(Organisation.id, Organisation.name, Agreement.number, Agreement.valid_until).where(
        Agreement.organisation_id == ends.c.organisation_id,
        Agreement.valid_until == ends.c.until,
        Organisation.id == Agreement.organisation_id,
    )
    return Prepared(query.order_by(Agreement.valid_until).limit(bindparam("most", type_=Integer)))


def _cards(ctx: Context, days: Sequence[tuple[date, int]]) -> tuple[list[tuple[str, int]], int, int]:
    """Return how many cards the actor sees, by state; how many of them wait for their destruction (`Home`), and were activated today.

    `days` are the activations of the last days, of the cards that the actor's organisation holds; of all for who sees all.
    """
    if not grants(ctx.actor, Operation.CARD_VIEW):
        return [], 0, 0
    if derived.is_tallied(ctx):
        rows = derived.by_state(ctx)
    else:
        is_own = case((card_page.held(ctx), 1), else_=0)
        rows = ctx.session.execute(
            cards_query(ctx).with_only_columns(Card.state, func.count(), func.sum(is_own)).group_by(Card.state)
        ).all()
    found = {state: (int(every), int(own)) for state, every, own in rows}
    to_destroy = sum(found[cause][card_page.destroys(ctx)] for cause in CAUSES if cause in found)
    by_state = [(state.value, found[state.value][0]) for state in CardState if state.value in found]
    return by_state, to_destroy, _activated_on(ctx, *days[-1]) if rows else 0


def _activated_on(ctx: Context, day: date, of_held: int) -> int:
    """Return how many of the cards that the actor sees were activated on a day; by the tally, how many activations there were."""
    if is_tallied(ctx):
        if Scope.ALL in reach_of(ctx.actor, Operation.CARD_VIEW) and grants(ctx.actor, Operation.MANIFEST_VIEW):
            return of_held  # these are counted already
        return activations_by_day(ctx, zone_of(ctx.actor.region_code), day).get(day, 0)
    activated = cards_query(ctx).with_only_columns(func.count()).where(card_page.activated_on(ctx, day))
    return ctx.session.scalar(activated) or 0


def _days(ctx: Context) -> list[tuple[date, int]]:
    """Return the number of activations on each of the last days, by the days of the actor's time zone.

    For those whom the tally does not answer the query has one column a day.
    """
    if not grants(ctx.actor, Operation.MANIFEST_VIEW):
        return []
    zone = zone_of(ctx.actor.region_code)
    today = ctx.now.astimezone(zone).date()
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    if is_tallied(ctx):
        counted = activations_by_day(ctx, zone, days[0], held=True)
        return [(day, counted.get(day, 0)) for day in days]
    recent = and_(Activation.at >= datetime.combine(days[0], time(), zone), Activation.stated_by.is_(None))  # what somebody asked for
    row = ctx.session.execute(activations_query(ctx, Operation.CARD_VIEW).with_only_columns(*_counted(today, zone)).where(recent)).one()
    return [(day, int(count)) for day, count in zip(days, row, strict=True)]


@lru_cache(maxsize=6)  # today in the three zones, and the day before
def _counted(today: date, zone: ZoneInfo) -> list[ColumnElement[int]]:
    """Return the column of each of the last days: how many activations lie within it."""
    starts = [datetime.combine(today - timedelta(days=back), time(), zone) for back in range(DAYS - 1, -2, -1)]
    within = [Activation.at.between(start, end - timedelta(microseconds=1)) for start, end in pairwise(starts)]
    return [func.coalesce(func.sum(case((inside, 1), else_=0)), 0) for inside in within]
