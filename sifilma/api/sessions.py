"""The routes of signing in, step-up, signing out, the signed-in user, and their sessions."""

from __future__ import annotations

from typing import Literal

from flask import Response, jsonify, make_response, request
from pydantic import BaseModel, Field

from sifilma.accounts import service
from sifilma.accounts.serializers import MeOut, SessionOut, me_out, session_out
from sifilma.api.common import IdPath, Page, answer, blueprint
from sifilma.identity.fields import Password
from sifilma.kernel.schemas import Strict
from sifilma.resources import resources
from sifilma.sign_in import service as sign_in
from sifilma.sign_in.authentication import cookie_name
from sifilma.sign_in.cookies import clear_cookie, set_cookie
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("session", signed_in=False)


class PasswordIn(Strict):
    """The first step."""

    username: str = Field(min_length=1, max_length=60)
    password: Password


class CodeIn(Strict):
    """A one-time code."""

    code: str = Field(min_length=6, max_length=20)


class NextOut(BaseModel):
    """What the next step is, and which codes it takes of this account."""

    next: str
    methods: list[Literal["totp", "recovery_code"]]


class SignedInOut(BaseModel):
    """Who signed in, and the token that unsafe calls carry in X-CSRF-Token."""

    user: MeOut
    csrf: str


@api.post("/session", responses={200: NextOut}, summary="Sign in: user name and password")
@operation("public", reads_first=True, idempotent=False)
def start(body: PasswordIn) -> Response:
    """The cookie it gives is good for the one-time code only."""
    ctx = context()
    cookie = sign_in.check_password(ctx, body.username, body.password, request.user_agent.string)
    recovers = sign_in.has_recovery_codes(ctx, cookie)
    return set_cookie(
        answer(NextOut(next="otp", methods=["totp", "recovery_code"] if recovers else ["totp"])), resources().settings, cookie
    )


@api.post("/session/otp", responses={200: SignedInOut}, summary="Sign in: one-time code")
@operation("public", idempotent=False)
def one_time_code(body: CodeIn) -> Response:
    """A code counts once. The session gets a new cookie."""
    ctx, settings = context(), resources().settings
    done = sign_in.check_otp(ctx, settings, request.cookies.get(cookie_name(settings)), body.code)
    user = service.get_user(ctx, done.user_id)
    return set_cookie(answer(SignedInOut(user=me_out(user, ctx.now), csrf=done.csrf)), settings, done.cookie)


@api.post("/session/step-up", responses={204: None}, summary="A fresh one-time code, good for ten minutes")
@operation("session.self", idempotent=False)
def step_up(body: CodeIn) -> Response:
    """The session gets a new cookie."""
    settings = resources().settings
    done = sign_in.step_up(context(), settings, body.code)
    return set_cookie(make_response("", 204), settings, done.cookie)


@api.delete("/session", responses={204: None}, summary="Sign out")
@operation("session.self", idempotent=False)
def end() -> Response:
    """The session ends on the server: its cookie is worth nothing from here on."""
    ctx = context()
    sign_in.sign_out(ctx, sign_in.get_own_session(ctx).id)
    return clear_cookie(make_response("", 204), resources().settings)


@api.get("/me", responses={200: MeOut}, summary="Who is signed in")
@operation("self")
def me() -> Response:
    """A person, or the organisation behind an API key."""
    ctx = context()
    if ctx.actor.user_id is None:
        return jsonify(service.machine_facts(ctx))
    return answer(me_out(service.get_user(ctx, ctx.actor.user_id), ctx.now))


@api.get("/sessions", responses={200: Page[SessionOut]}, summary="My running sessions")
@operation("session.self")
def list_sessions() -> Response:
    """Every session of one's own that runs."""
    ctx = context()
    rows = sign_in.running_sessions(ctx, resources().settings)
    return answer(Page[SessionOut](items=[session_out(row, ctx.actor.session_id) for row in rows], next=None))


@api.delete("/sessions/<uuid:id>", responses={204: None}, summary="End one of my sessions")
@operation("session.self", idempotent=False)
def end_one(path: IdPath) -> Response:
    """Another device, or this one."""
    ctx = context()
    sign_in.sign_out(ctx, sign_in.get_own_session(ctx, path.id).id, "ended by its owner")
    return make_response("", 204)
