"""What is the same of every turn for an object that somebody began: for whom it acts, how it ends early, and how fast it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, select

from sifilma.audit.models import Action, AuditEntry
from sifilma.kernel.actor import Actor
from sifilma.kernel.context import Context
from sifilma.sign_in.authentication import find_actor

NEWEST, LONGEST_MEASURED = 0.3, timedelta(minutes=1)
"""The share of the newest measurement in the rate, and the longest time between two turns that is measured."""


class Lost(Exception):
    """The object had another turn meanwhile, or has ended. Nothing this worker still does for it counts."""


class Barred(Exception):
    """Whoever began it may not do or see this any more."""


def on_behalf(ctx: Context, row: Any, object_kind: str, began: Action, may: Callable[[Actor], bool]) -> Context:
    """Return the Context of the person or API key that a row names, which the act `began` must name, too.

    Raise Barred if there is no such account or key any more, if it belongs to another organisation, or if `may` says no.
    """
    actor = find_actor(ctx, row.user_id, row.api_key_id) if _has_begun(ctx, row, object_kind, began) else None
    if actor is None or actor.organisation_id != row.organisation_id or not may(actor):
        raise Barred
    return replace(ctx, actor=actor, request_id=str(row.id))


def _has_begun(ctx: Context, row: Any, object_kind: str, began: Action) -> bool:
    """Return whether whom the row names began it. If SQL has put another there, they would act, or be given something, unknowingly."""
    by = (AuditEntry.user_id.is_not_distinct_from(row.user_id), AuditEntry.api_key_id.is_not_distinct_from(row.api_key_id))
    about = (AuditEntry.object_kind == object_kind, AuditEntry.object_id == str(row.id), AuditEntry.action == began)
    return bool(ctx.session.scalar(select(exists().where(*about, *by))))


def rate_of(row: Any, done: Any, now: datetime) -> Any:
    """Return the rows a second since the last turn ended, mixed with the rate of before. A long silence is not measured.

    `row` has `rate` and `measured_at`; `done` is the number of rows since, or an SQL expression of it: then the rate is one, too.
    """
    since = row.measured_at
    if since is None or not timedelta(0) < now - since <= LONGEST_MEASURED:
        return row.rate
    newest = done / (now - since).total_seconds()
    return newest if row.rate is None else NEWEST * newest + (1 - NEWEST) * row.rate
