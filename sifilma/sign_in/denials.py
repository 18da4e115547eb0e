"""Record denials. The same ones of one actor, made again and again, get a few entries and then a count: every entry stays for ever."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import structlog
from flask import Response, g, request
from sqlalchemy.exc import SQLAlchemyError

from sifilma.audit.models import Action
from sifilma.audit.service import record_in
from sifilma.kernel.actor import Actor
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Forbidden, NotFound, SifilmaError
from sifilma.resources import resources
from sifilma.web import metrics, requests

log = structlog.get_logger()


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
