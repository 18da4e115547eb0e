"""Record denials, and what every failed request was answered with.

The same denials of one actor, made again and again, get a few entries and then a count: every entry stays for ever. Failed requests are
found by the number that their page shows; they are deleted after a time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import structlog
from flask import Response, g, request
from sqlalchemy import insert
from sqlalchemy.exc import SQLAlchemyError

from sifilma.audit.models import Action
from sifilma.audit.service import record_in
from sifilma.kernel.actor import Actor
from sifilma.kernel.context import Context
from sifilma.kernel.errors import (
    Forbidden,
    NotFound,
    OutcomeUnknown,
    SifilmaError,
    StepUpRequired,
    TooOften,
    Unauthenticated,
    Unavailable,
)
from sifilma.resources import resources
from sifilma.sign_in.models import FailedRequest
from sifilma.web import metrics, requests

log = structlog.get_logger()
_FAILED = insert(FailedRequest.__table__)  # type: ignore[arg-type]  # a declarative class's table is a Table


@dataclass(frozen=True)
class Denial:
    """Who was refused what, at which route: its endpoint, and its pattern."""

    actor: Actor
    action: Action
    endpoint: str
    route: str


def record_denial(response: Response) -> Response:
    """Record a 403, and a 404 for an object named in the URL, in an entry that survives the rollback."""
    refusal: SifilmaError | None = g.get("refusal")
    actor: Actor = g.get("actor") or Actor()
    if refusal is None:
        return response
    _sum_up()
    if not actor.is_system and (isinstance(refusal, Forbidden) or (isinstance(refusal, NotFound) and request.view_args)):
        note_denial(refusal)
    return response


def record_failure(response: Response) -> Response:
    """Store what a failed request was answered with, under the number that its page shows.

    Strangers can make any number of refused requests, so of theirs only faults of the service (5xx) are stored; and of the same failures
    of one actor the first ten of an hour, as of denials. While the database is away they wait in this process's memory, the newest 200,
    for the next one that is stored. The service's log has all of them.
    """
    refusal: SifilmaError | None = g.get("refusal")
    if refusal is None or isinstance(refusal, Unauthenticated | StepUpRequired | TooOften):  # no page of these shows a number
        return response
    ctx, waiting = requests.context(), resources().unstored
    actor = ctx.actor
    if actor.is_system and refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return response
    route = str(request.url_rule or "-")  # the pattern: the path itself holds what was sent
    key = (actor.user_id, actor.api_key_id, refusal.type, request.method, route)
    if not resources().failures.is_first(key, None, ctx.now):
        return response
    waiting.append({
        "request_id": ctx.request_id, "at": ctx.now, "status": refusal.status, "type": refusal.type[:60], "error": g.get("cause", "")[:60],
        "method": request.method[:10], "route": route[:200], "user_id": actor.user_id, "api_key_id": actor.api_key_id,
    })  # fmt: skip
    if refusal.type not in (Unavailable.type, OutcomeUnknown.type):  # of these the database may be the cause
        _store_failures(ctx, waiting)
    return response


def _store_failures(ctx: Context, waiting: deque[dict[str, Any]]) -> None:
    found = [waiting.popleft() for _ in range(len(waiting))]
    try:
        ctx.uow.separately(lambda session: session.execute(_FAILED, found))
    except SQLAlchemyError as fault:
        waiting.extend(found)
        log.error("failed request not stored", error=type(fault).__name__)


def note_denial(refusal: SifilmaError) -> None:
    """Write the entry of a denial in a transaction of its own. What this unit of work has not committed is discarded.

    Of one actor's denials of one kind at one route the first ten of an hour get an entry each; the others are counted, and told in one
    entry (`_sum_up`). Without the database the answer stays a denial, and the service's log has the entry.
    """
    action = Action.ACCESS_NOT_FOUND if isinstance(refusal, NotFound) else Action.ACCESS_DENIED
    ctx = requests.context()
    denial = Denial(ctx.actor, action, request.endpoint or "-", str(request.url_rule))
    if not resources().denials.is_first((ctx.actor.user_id, ctx.actor.api_key_id, action, denial.endpoint), denial, ctx.now):
        metrics.NOT_RECORDED.labels(action).inc()
        return
    _write(ctx, action, denial, method=request.method, route=denial.route, type=refusal.type)


def _sum_up() -> None:
    """Write one entry for the denials that were only counted, once their hour is over. Any refused request does it, for all actors."""
    for ended in resources().denials.take_ended():
        denial, ctx = ended.noted, replace(requests.context(), actor=ended.noted.actor)
        times = {"since": str(ended.since), "until": str(ended.until)}
        _write(ctx, Action.ACCESS_REPEATED, denial, refused=denial.action, route=denial.route, count=ended.unrecorded, **times)


def _write(ctx: Context, action: Action, denial: Denial, **facts: Any) -> None:
    try:
        ctx.uow.separately(lambda session: record_in(session, ctx, action, "route", denial.endpoint, **facts))
    except SQLAlchemyError as fault:
        log.error("denial not recorded", error=type(fault).__name__, action=action, user=str(ctx.actor.user_id or ""), **facts)
