"""Queries for the queues of requests: the filter of a list, and the requests that wait for a decision of the actor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, false, func

from sifilma.approvals.letters import letter_key
from sifilma.approvals.service import Requests
from sifilma.assignment import queries as assignment
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import grants
from sifilma.kernel.context import Context
from sifilma.kernel.statements.finders import Arm, Finder, Named, like, pattern
from sifilma.kernel.timekeeping.targets import Targets

T = TypeVar("T")


@dataclass(frozen=True)
class Wanted:
    """A filter of requests. `text` is a part of the letter number or of an organisation's name.

    `waiting` selects requests the actor can act on now. `days` selects requests submitted (a draft: created) at least that many days ago,
    `late` those that are late by these service targets. `holder` is a filter of `assignment.queries`. Empty values do not filter.
    """

    state: str = ""
    text: str = ""
    waiting: bool = False
    function: str = ""
    days: int = 0
    late: Targets | None = None
    holder: str = ""


def narrowed_query(ctx: Context, query: Select[T], model: Any, wanted: Wanted, finder: Finder) -> Select[T]:
    """Add the conditions of a filter to a query of `model`, except `waiting` and `late`, which differ by kind of request.

    `finder` finds the text (`finder_of`).
    """
    if wanted.state:
        query = query.where(model.state == wanted.state)
    if wanted.function:
        query = query.where(model.function == wanted.function)
    if wanted.days:
        query = query.where(func.coalesce(model.submitted_at, model.created_at) <= ctx.now - timedelta(days=wanted.days))
    if wanted.holder:
        query = query.where(assignment.narrowed(ctx, model.id, wanted.holder))
    if wanted.text:
        query = finder.restricted_query(ctx.session, query, wanted.text)
    return query


def finder_of(model: Any, *owners: Any) -> Finder:
    """Return what finds requests by a part of the letter's number or, by the columns `owners`, of an organisation's name."""
    by_name = (Arm(model.id, Named(owner, Organisation.id, Organisation.name), pattern) for owner in owners)
    return Finder(Arm(model.id, like(model.letter_key), lambda text: pattern(letter_key(text))), *by_name)


def by_letter(finder: Finder) -> Finder:
    """Return what finds requests by a part of the letter's number alone, of a finder that `finder_of` made."""
    return Finder(finder.arms[0])


def late(ctx: Context, targets: Targets, name: str, since: Any) -> ColumnElement[bool]:
    """Return the condition that what has waited since the moment in the column `since` is late by the target of this name."""
    before = targets.late_before(name, ctx.now)
    return since < before if before else false()


def decisions(ctx: Context, requests: Requests[Any]) -> Iterator[ColumnElement[bool]]:
    """Yield conditions in SQL: the requests the actor can approve, and those the actor can verify, as far as they have the permission."""
    if grants(ctx.actor, requests.operations.approve):
        yield requests.way.approvable(ctx)
    if grants(ctx.actor, requests.operations.verify):
        yield requests.way.verifiable()
