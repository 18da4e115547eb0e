"""The gate before every view: it finds the actor and asks the permission table. What the table does not grant is denied."""

from __future__ import annotations

import hmac
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from flask import Flask, Response, current_app, g, redirect, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response as AnyResponse

from config.settings import Settings
from sifilma.identity.permissions import Operation, grants, missing_scope
from sifilma.kernel import deadline
from sifilma.kernel.actor import Actor
from sifilma.kernel.addresses import network
from sifilma.kernel.errors import Forbidden, SifilmaError, StepUpRequired, TooOften, Unauthenticated
from sifilma.kernel.text import say
from sifilma.kernel.timekeeping.moments import is_within
from sifilma.resources import resources
from sifilma.sign_in import authentication
from sifilma.sign_in import service as sign_in
from sifilma.sign_in.cookies import set_cookie
from sifilma.sign_in.current_user import SignedIn
from sifilma.sign_in.denials import record_denial, record_failure
from sifilma.web import body_limits, characters, confirmation, kept, metrics, requests
from sifilma.web.errors import wants_json

CODE_FIELD = "otp_code"
FREE = frozenset({"static", "web.static"})
UNLIMITED = FREE | {"health.livez"}
PATIENCE = 0.5
"""Seconds for which a public page waits for an answer of the database about whose frame it shows."""


def register(app: Flask) -> None:
    """Attach the request cycle. The order matters: the gate needs the context, and the view begins only for what the gate admits."""
    app.before_request(requests.open_request)
    app.before_request(limit_address)
    app.before_request(authorise)
    app.before_request(body_limits.refuse)
    app.before_request(characters.refuse)
    app.before_request(_ask)
    app.before_request(kept.answer_again)
    app.before_request(requests.begin_view)
    app.after_request(record_failure)
    app.after_request(record_denial)
    app.after_request(renew_cookie)
    app.teardown_request(requests.close_request)


def limit_address() -> None:
    """Raise TooOften if the client's address makes too many requests. The first statement comes after it."""
    if request.endpoint in UNLIMITED:
        return
    _limit("address", network(requests.remote_address()), resources().settings.rate_per_minute_address)


def _limit(kind: str, key: str, per_minute: int) -> None:
    wait = resources().rates.excess(kind, key, per_minute, resources().settings.workers)
    if wait:
        metrics.TOO_MANY.labels(kind).inc()
        raise TooOften("Too many requests in a short time. Wait, then try again.", retry_after=wait)


def authorise() -> AnyResponse | str | None:
    """Find the actor and check the view's operation against the permission table. Return a page only where strangers have one of their own.

    A form whose session has ended, or whose token is that of a former session of the same account, is kept: after signing in, or at once,
    its page shows it as it was left. Return the redirect to that page, else None.

    Raise Forbidden for a request from another site, a missing CSRF token, a route without operation or a missing grant; Unauthenticated
    without a valid session or key; StepUpRequired if all grants need a fresh code and none was given. An API key is also refused by
    Forbidden from an address that is not its own (`address-not-allowed`) and for what its scopes do not open (`scope-missing`).
    """
    g.actor = Actor(ip=requests.remote_address())
    if request.endpoint is None or request.endpoint in FREE or current_app.view_functions[request.endpoint] is None:
        return None
    _refuse_other_sites()
    policy = requests.policy()
    if policy is None:
        raise Forbidden("This route names no operation.")
    operation, settings = Operation(policy.operation), resources().settings
    if operation is Operation.PUBLIC:
        if policy.framed:
            recognise()
        return None
    ctx = requests.context()
    found = authentication.identify(ctx, settings, requests.bearer(), _cookie(settings))
    if found is None:
        if policy.strangers and not wants_json():
            return str(current_app.view_functions[policy.strangers]())
        g.way_back = _keep_form(None)
        raise Unauthenticated()
    g.actor, g.csrf = found.actor, found.csrf
    _limit("actor", str(found.actor.user_id or found.actor.api_key_id), settings.rate_per_minute_actor)
    authentication.admit_key(ctx, found)
    try:
        _require_csrf(found.csrf)
    except Forbidden:
        if way := _keep_form(found.actor.user_id):
            return redirect(way, 303)
        raise
    require_grant(found.actor, operation, settings)
    return None


def recognise() -> None:
    """Find the person whose frame a public page shows. Whoever has no session, or cannot be known in time, is a stranger there."""
    settings = resources().settings
    cookie = _cookie(settings)
    if cookie is None:
        return
    ctx, actor = requests.context(), g.actor
    with deadline.limit(PATIENCE):
        try:
            found = authentication.identify(ctx, settings, None, cookie)
            if found is not None:
                g.actor, g.csrf = found.actor, found.csrf
                g._login_user = SignedIn(found.actor).loaded()  # its names, too, are read while this can still fail
        except (SQLAlchemyError, SifilmaError):
            g.actor, g.csrf = actor, ""
        finally:
            ctx.uow.rollback()  # the page holds no connection for it
            ctx.uow.begin_read()


def _keep_form(user_id: UUID | None) -> str:
    """Keep the form of a former session, of any account or of this one, and return the address that shows it. Empty: nothing was kept.

    Its own token tells which session it was written in: the cookie may be gone or another by now. A form that no session of this
    installation was shown keeps nothing.
    """
    token = kept.sent_token()
    owner = authentication.find_owner(requests.context(), token) if token else None
    return kept.leave(owner) if owner is not None and user_id in (None, owner) else ""


def _cookie(settings: Settings) -> str | None:
    return request.cookies.get(authentication.cookie_name(settings))


def _refuse_other_sites() -> None:
    """Refuse unsafe requests that another site began, signed in or not. Browsers name the site in `Sec-Fetch-Site` (Fetch Metadata)."""
    if request.method not in requests.SAFE and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        raise Forbidden("This request was begun on another site.", type="csrf")


def _require_csrf(expected: str | None) -> None:
    """Require the session's token with unsafe requests, in a header or a form field. API keys need none."""
    if expected is None or request.method in requests.SAFE:
        return
    sent = request.headers.get("X-CSRF-Token")
    if sent is None and request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data"):
        sent = request.form.get("csrf_token")
    if sent is None or not hmac.compare_digest(sent.encode(), expected.encode()):
        raise Forbidden("The X-CSRF-Token of this session is missing or wrong.", type="csrf")


def require_grant(actor: Actor, operation: Operation, settings: Settings) -> None:
    """Raise Forbidden unless the actor has a grant of the operation, and StepUpRequired if all of them need a fresh code."""
    if operation is Operation.SELF or (operation is Operation.SESSION_SELF and actor.user_id is not None):
        return
    found = grants(actor, operation)
    if not found:
        lacking = missing_scope(actor, operation)
        if lacking is not None:
            raise Forbidden(say("This API key lacks the scope %(scope)s.", scope=lacking.value), type="scope-missing", scope=lacking.value)
        raise Forbidden()
    if all(grant.fresh for grant in found):
        require_fresh(actor, settings)


def require_fresh(actor: Actor, settings: Settings) -> None:
    """Raise StepUpRequired unless the actor gave a one-time code recently, or gives a right one with this form."""
    if is_fresh(actor, settings):
        return
    code = request.form.get(CODE_FIELD, "")[:20] if request.method not in requests.SAFE and actor.user_id is not None else ""
    if not code:
        raise StepUpRequired()
    _step_up(settings, code)


def _step_up(settings: Settings, code: str) -> None:
    """Accept the code in a transaction of its own, so that it is used up even if the form it came with is refused."""
    ctx = requests.context()
    try:
        done = ctx.uow.at_once(lambda: sign_in.step_up(ctx, settings, code))
    except Unauthenticated as refused:
        raise StepUpRequired("The one-time code is wrong or was used already.", type="otp-refused") from refused
    g.renewed_cookie = done.cookie
    g.actor = replace(g.actor, otp_at=ctx.now)


def renew_cookie(response: Response) -> Response:
    """Set the session's new cookie after a one-time code that came with a form."""
    if "renewed_cookie" in g:
        set_cookie(response, resources().settings, g.renewed_cookie)
    return response


def is_fresh(actor: Actor, settings: Settings) -> bool:
    """Return whether the actor gave a second factor within the step-up window (default 10 minutes; signing in counts)."""
    now = requests.context().now
    return actor.otp_at is not None and is_within(actor.otp_at, now, timedelta(minutes=settings.step_up_minutes))


def _ask() -> Response | None:
    """Return the question that comes before an act that cannot be undone."""
    policy = requests.policy() if request.method == "POST" else None
    return confirmation.ask(requests.context()) if policy is not None and policy.question is not None else None
