"""What is due for a person: what has waited for them too long, and what of theirs expires soon. Each thing has an occasion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, String, func, literal, select, union_all

from config.settings import Settings
from sifilma.access_review.models import DormantMark
from sifilma.activation.models import Manifest, ManifestState, Token
from sifilma.activation.queries import IS_OPEN, manifests_query, tokens_query
from sifilma.documents.indonesian import zone_of
from sifilma.identity.models import Organisation, User, UserRole
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.timekeeping.targets import Targets
from sifilma.reports import home, tasks_waiting
from sifilma.reports.task_labels import TASKS
from sifilma.reports.way import line_queries
from sifilma.reports.way import queries as life

MOST = 200  # only the oldest of a kind; the others become due when these are done
AGAIN = timedelta(days=7)
SOON = frozenset({"mend_personalisation", "mend_activation", "receive_handover", "decide_report", "answer_place"})
"""Tasks that are reminded of at once: a request came back, cards are on their way, or a card stands still."""
UNTOLD = ("submit_personalisation", "submit_activation", "activate")
"""Tasks that are not reminded of: one's own drafts, and tokens, which have reminders before they expire."""


@dataclass(frozen=True)
class Due:
    """Something to remind of. `at` is since when it waits, or when it expires; `late` by how many working days it is late.

    The same `occasion` of the same object is told once.
    """

    task: str
    key: UUID
    title: str
    organisation: str
    at: datetime
    count: int
    occasion: str
    lapses: bool = False
    late: int = 0


def dues(ctx: Context, settings: Settings) -> Iterator[Due]:
    """Yield everything that is due for the actor, including what they were told already."""
    yield from _waiting(ctx, timedelta(days=settings.remind_after_days), Targets.of(settings))
    if grants(ctx.actor, Operation.ACTIVATE):
        yield from _lapsing(ctx, _tokens(ctx, settings.remind_token_days), settings.remind_token_days)
        yield from _lapsing(ctx, _manifests(ctx, settings.remind_manifest_days), settings.remind_manifest_days)
    yield from _own_account(ctx, settings)
    yield from _lapsing(ctx, _temporary_roles(ctx, settings.remind_role_days), settings.remind_role_days)
    if grants(ctx.actor, Operation.API_KEYS):
        yield from _lapsing(ctx, tasks_waiting.keys_query(ctx, settings.remind_key_days), settings.remind_key_days)
    if ctx.actor.organisation_kind is OrganisationKind.INSTITUTION or grants(ctx.actor, Operation.REFERENCE_DRAFT):
        yield from _agreements(ctx, settings.remind_agreement_days)


def _waiting(ctx: Context, patience: timedelta, targets: Targets) -> Iterator[Due]:
    """Yield what has waited for the actor longer than `patience`, or is late. The occasion changes every week, so it is told again then."""
    for task, key, title, organisation, at, count, _until in _rows(ctx, tasks_waiting.waiting(ctx), ctx.now - patience, targets):
        weeks = max(ctx.now - at - patience, timedelta()) // AGAIN
        late = targets.late(TASKS[task].target, at, ctx.now)
        occasion = f"{at:%Y%m%dT%H%M%S} {weeks}"
        yield Due(task, key, title, organisation, at, count, occasion, late=late)


def _rows(ctx: Context, selects: Iterable[Select[Any]], before: datetime, targets: Targets) -> Iterable[Any]:
    found = list(selects)
    if not found:
        return ()
    every = union_all(*found).subquery()
    long = (every.c.at <= before) | every.c.task.in_(SOON) | home.overdue(every.c)
    late = every.c.task.not_in(UNTOLD) & long
    query = select(every).where(late).order_by(every.c.at, every.c.key).limit(MOST)
    return ctx.session.execute(query, home.late_values(targets, ctx.now))


def _tokens(ctx: Context, days: tuple[int, ...]) -> Select[Any]:
    """Return a query of the unused tokens of the actor's organisation that expire soon, by request."""
    issued = tokens_query(ctx, Operation.ACTIVATE).where(IS_OPEN)
    soon = issued.where(Token.expires_at > ctx.now, Token.expires_at <= ctx.now + timedelta(days=max(days, default=0)))
    return life.tokens_query(soon, "token_lapses", func.min(Token.expires_at))


def _manifests(ctx: Context, days: tuple[int, ...]) -> Select[Any]:
    """Return a query of the active manifests of the actor's organisation that expire soon, by day, so that thousands become one line."""
    until = ctx.now + timedelta(days=max(days, default=0))
    ending = manifests_query(ctx).where(Manifest.state == ManifestState.ACTIVE, Manifest.expires_at > ctx.now, Manifest.expires_at <= until)
    mine = ending.where(Manifest.organisation_id == ctx.actor.organisation_id)
    by_day = mine.group_by(func.date(Manifest.expires_at), Organisation.id, Organisation.name)
    first = func.min(Manifest.expires_at)
    return line_queries.line_query(
        by_day, "manifests_lapse", Organisation.id, Organisation.name, Manifest.organisation_id, first, func.count(Manifest.id)
    )


def _temporary_roles(ctx: Context, days: tuple[int, ...]) -> Select[Any]:
    return home.temporary_roles_query(ctx).where(UserRole.ends_at <= ctx.now + timedelta(days=max(days, default=0)))


def _own_account(ctx: Context, settings: Settings) -> Iterator[Due]:
    """Yield that the actor's account will be disabled, since it is unused or unconfirmed. It is told once."""
    marked = select(DormantMark).where(User.id == DormantMark.user_id, User.id == ctx.actor.user_id)
    unused = line_queries.line_query(marked, "account_unused", User.id, literal("", String), User.organisation_id, DormantMark.marked_at)
    for task, key, title, organisation, at, count, _until in ctx.session.execute(unused):
        ends = at + timedelta(days=settings.dormant_grace_days)
        yield Due(task, key, title, organisation, ends, count, f"{at:%Y%m%dT%H%M%S}", lapses=True)
    for task, key, title, organisation, at, count, _until in ctx.session.execute(home.unconfirmed_query(ctx)):
        yield Due(task, key, title, organisation, at, count, f"{at:%Y%m%d}", lapses=True)


def _lapsing(ctx: Context, query: Select[Any], days: tuple[int, ...]) -> Iterator[Due]:
    for task, key, title, organisation, at, count, _until in ctx.session.execute(query.limit(MOST)):
        yield Due(task, key, title, organisation, at, count, f"{at:%Y%m%d} {_stage(at - ctx.now, days)}", lapses=True)


def _agreements(ctx: Context, days: tuple[int, ...]) -> Iterator[Due]:
    here = zone_of(ctx.actor.region_code)
    for end in home.agreements(ctx, MOST):
        at = datetime.combine(end.until, datetime.min.time(), here)
        left = end.until - ctx.now.astimezone(here).date()
        if timedelta() <= left <= timedelta(days=max(days, default=0)):
            occasion = f"{end.until} {_stage(left, days)}"
            yield Due("agreement_ends", end.organisation_id, end.number, end.organisation, at, 0, occasion, lapses=True)


def _stage(left: timedelta, days: tuple[int, ...]) -> int:
    """Return the smallest number in `days` that the time left does not exceed (0 if none). Each is an occasion of its own."""
    return min((stage for stage in days if left <= timedelta(days=stage)), default=0)
