"""Signing in and out on the web: password, second factor, step-up, one's own sessions, and a visitor's language."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from sifilma.kernel.errors import StepUpRequired, Unauthenticated
from sifilma.resources import resources
from sifilma.sign_in import service as sign_in
from sifilma.sign_in.authentication import cookie_name
from sifilma.sign_in.cookies import clear_cookie, set_cookie
from sifilma.web.errors import BACK
from sifilma.web.forms import Form
from sifilma.web.languages import COOKIE, LANGUAGES
from sifilma.web.operations import operation
from sifilma.web.pages import own_address, seen
from sifilma.web.requests import context

blueprint = Blueprint("sign_in", __name__, template_folder="templates")
CODE_LENGTH = 20  # a recovery code with its dashes is the longest


@blueprint.get("/masuk")
@operation("public")
def sign_in_page() -> str:
    """Show the first step."""
    return render_template("sign_in/masuk.html", form=Form())


@blueprint.post("/masuk")
@operation("public", reads_first=True, idempotent=False)
def sign_in_form() -> AnyResponse:
    """Check user name and password, then redirect to the second step."""
    form, ctx = Form.sent(), context()
    with form.attempt(ctx):
        cookie = sign_in.check_password(ctx, form.get("username"), form.get("password"), request.user_agent.string)
        return set_cookie(make_response(redirect("/masuk/kode", 303)), resources().settings, cookie)
    return form.again("sign_in/masuk.html")


@blueprint.get("/masuk/kode")
@operation("public")
def code_page() -> Response:
    """Show the second step."""
    return code_step(Form())


@blueprint.post("/masuk/kode")
@operation("public", idempotent=False)
def code_form() -> AnyResponse:
    """Check the code of the second step."""
    form, ctx, settings = Form.sent(), context(), resources().settings
    with form.attempt(ctx):
        done = sign_in.check_otp(ctx, settings, request.cookies.get(cookie_name(settings)), form.get("code")[:CODE_LENGTH])
        return signed_in(done)
    return code_step(form)


def signed_in(done: sign_in.SignedIn) -> Response:
    """Set the session's cookie and redirect to the page that needed the sign-in, else home."""
    response = make_response(redirect(own_address(request.cookies.get(BACK, "/")), 303))
    response.delete_cookie(BACK, path="/masuk")
    return set_cookie(response, resources().settings, done.cookie)


def code_step(form: Form) -> Response:
    """Show the second step with every factor the account has. Redirect to the first step if the sign-in has expired."""
    settings = resources().settings
    try:
        cookie = request.cookies.get(cookie_name(settings))
        ways, passkey = sign_in.code_ways(context(), settings, cookie), sign_in.has_passkey(context(), cookie)
    except Unauthenticated:
        return make_response(redirect("/masuk", 303))
    return form.again("sign_in/kode.html", ways=ways, passkey=passkey)


@blueprint.post("/masuk/ulang")
@operation("session.self", idempotent=False)
def step_up_form() -> AnyResponse:
    """Accept a fresh one-time code, then redirect to the page that needed it."""
    ctx, settings = context(), resources().settings
    try:
        done = sign_in.step_up(ctx, settings, request.form.get("otp_code", "")[:CODE_LENGTH])
    except Unauthenticated as refused:
        raise StepUpRequired("The one-time code is wrong or was used already.", type="otp-refused") from refused
    return set_cookie(make_response(redirect(own_address(request.form.get("kembali", "/")), 303)), settings, done.cookie)


@blueprint.post("/keluar")
@operation("session.self", idempotent=False)
def sign_out() -> AnyResponse:
    """End this session."""
    ctx = context()
    sign_in.sign_out(ctx, sign_in.get_own_session(ctx).id)
    return clear_cookie(make_response(redirect("/masuk", 303)), resources().settings)


@blueprint.post("/bahasa")
@operation("public", idempotent=False)
def choose_language() -> AnyResponse:
    """Store a visitor's language for a year in a cookie of its own."""
    response = make_response(redirect(own_address(request.form.get("kembali", "/")), 303))
    chosen = request.form.get("bahasa", "id")
    if chosen in LANGUAGES:
        response.set_cookie(COOKIE, chosen, max_age=365 * 86400, httponly=True, samesite="Lax", secure=resources().settings.https)
    return response


@blueprint.post("/sesi/<uuid:session_id>/akhiri")
@operation("session.self", idempotent=False)
def end_session(session_id: UUID) -> AnyResponse:
    """End one of the actor's sessions, on this or another device."""
    ctx = context()
    is_this = session_id == ctx.actor.session_id
    sign_in.sign_out(ctx, sign_in.get_own_session(ctx, session_id).id)
    return clear_cookie(make_response(redirect("/masuk", 303)), resources().settings) if is_this else seen("accounts.profile", "ended")
