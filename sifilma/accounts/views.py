"""Signing in, one-time code, taking up an invitation, one's own sessions."""

from __future__ import annotations

import re
from uuid import UUID

from flask import Blueprint, Response, current_app, make_response, redirect, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from sifilma import ports
from sifilma.accounts import contacts, messages, passkeys, recovery_codes, service, sign_in, totp
from sifilma.accounts.authentication import cookie_name
from sifilma.accounts.cookies import clear_cookie, set_cookie
from sifilma.accounts.hook import require_fresh
from sifilma.accounts.message_pages import line
from sifilma.accounts.models import User
from sifilma.accounts.schemas import ContactIn, PreferencesIn
from sifilma.documents.rendering import qr_address
from sifilma.kernel.errors import Invalid, StepUpRequired, Unauthenticated
from sifilma.web.errors import BACK, LONGEST_WAY
from sifilma.web.forms import Form
from sifilma.web.languages import COOKIE, LANGUAGES
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("accounts", __name__, template_folder="templates")
CODE_LENGTH = 20  # a recovery code with its dashes is the longest


@blueprint.get("/masuk")
@operation("public")
def sign_in_page() -> str:
    """The first step."""
    return render_template("accounts/masuk.html", form=Form())


@blueprint.post("/masuk")
@operation("public", reads_first=True, idempotent=False)
def sign_in_form() -> AnyResponse:
    """User name and password; on to the one-time code."""
    form, ctx = Form.sent(), context()
    with form.attempt(ctx):
        cookie = sign_in.check_password(ctx, form.get("username"), form.get("password"), request.user_agent.string)
        return set_cookie(make_response(redirect("/masuk/kode", 303)), ports.settings(), cookie)
    return form.again("accounts/masuk.html")


@blueprint.get("/masuk/kode")
@operation("public")
def code_page() -> Response:
    """The second step."""
    return code_step(Form())


@blueprint.post("/masuk/kode")
@operation("public", idempotent=False)
def code_form() -> AnyResponse:
    """The one-time code; a code counts once."""
    form, ctx, settings = Form.sent(), context(), ports.settings()
    with form.attempt(ctx):
        done = sign_in.check_otp(ctx, settings, request.cookies.get(cookie_name(settings)), form.get("code")[:CODE_LENGTH])
        return signed_in(done)
    return code_step(form)


def signed_in(done: sign_in.SignedIn) -> Response:
    """The session's cookie, and on to the page that asked to sign in, else home."""
    response = make_response(redirect(own_address(request.cookies.get(BACK, "/")), 303))
    response.delete_cookie(BACK, path="/masuk")
    return set_cookie(response, ports.settings(), done.cookie)


def code_step(form: Form) -> Response:
    """The page of the second step: one-time code, code that is sent, recovery code or passkey; back to the first if it has lapsed."""
    settings = ports.settings()
    try:
        cookie = request.cookies.get(cookie_name(settings))
        ways, passkey = sign_in.code_ways(context(), settings, cookie), sign_in.has_passkey(context(), cookie)
    except Unauthenticated:
        return make_response(redirect("/masuk", 303))
    return form.again("accounts/kode.html", ways=ways, passkey=passkey)


@blueprint.post("/masuk/ulang")
@operation("session.self", idempotent=False)
def step_up_form() -> AnyResponse:
    """A fresh one-time code for a page that needs one, then back to it."""
    ctx, settings = context(), ports.settings()
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
    sign_in.sign_out(ctx, sign_in.own_session(ctx).id)
    return clear_cookie(make_response(redirect("/masuk", 303)), ports.settings())


@blueprint.post("/bahasa")
@operation("public", idempotent=False)
def choose_language() -> AnyResponse:
    """Keep the language somebody chose, for a year, in a cookie of its own."""
    response = make_response(redirect(own_address(request.form.get("kembali", "/")), 303))
    chosen = request.form.get("bahasa", "id")
    if chosen in LANGUAGES:
        response.set_cookie(COOKIE, chosen, max_age=365 * 86400, httponly=True, samesite="Lax", secure=ports.settings().https)
    return response


def own_address(address: str) -> str:
    """A page of this site: this one, else (where a form was answered) the nearest above it. Nobody is sent elsewhere from here."""
    if len(address) > LONGEST_WAY or not re.fullmatch(r"/(?![/\\])[^\s\\]*", address):
        return "/"
    path = address.partition("?")[0]
    while path not in ("", "/") and not _is_page(path):
        path = address = path.rpartition("/")[0]
    return address or "/"


def _is_page(path: str) -> bool:
    try:
        current_app.url_map.bind("").match(path, method="GET")
    except HTTPException:
        return False
    return True


@blueprint.get("/profil")
@operation("session.self")
def profile() -> AnyResponse:
    """One's own account, password and sessions."""
    return _profile(Form())


@blueprint.post("/profil/kata-sandi")
@operation("session.self", idempotent=False)
def change_password() -> AnyResponse:
    """A new password; every other session ends."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        _require_same(form)
        service.change_password(ctx, ports.settings(), form.get("current"), form.get("password"))
        return seen("accounts.profile", "password")
    return _profile(form)


@blueprint.post("/profil/pilihan")
@operation("session.self", idempotent=False)
def choose_preferences() -> AnyResponse:
    """Language, time zone, and where reminders go."""
    form, ctx = Form.sent(), context()
    with form.attempt(ctx):
        kept = form.model(PreferencesIn, notices=request.form.getlist("notices"))
        service.keep_preferences(ctx, kept.language, kept.time_zone, kept.notices)
        response = make_response(seen("accounts.profile", "preferences"))
        response.delete_cookie(COOKIE)
        return response
    return _profile(form)


@blueprint.post("/profil/alamat")
@operation("session.self", idempotent=False)
def keep_contact() -> AnyResponse:
    """One's own e-mail address and phone number, with a fresh one-time code: sign-in codes go there."""
    form, ctx = Form.sent(), context()
    with form.attempt(ctx):
        require_fresh(ctx.actor, ports.settings())
        kept = form.model(ContactIn)
        contacts.keep_contact(ctx, ports.settings(), kept.email, kept.phone)
        return seen("accounts.profile", "contact")
    return _profile(form)


def _profile(form: Form) -> Response:
    ctx = context()
    assert ctx.actor.user_id is not None  # noqa: S101  # the hook lets only people in
    user = service.user(ctx, ctx.actor.user_id)
    preferences = Form.of(language=user.language, time_zone=user.time_zone)
    contact = form if "phone" in form.values else Form.of(email=user.email, phone=user.phone)
    here = passkeys.site(ports.settings(), request.host_url.rstrip("/"))
    return form.again(
        "accounts/profil.html", user=user, preferences=preferences, contact=contact, this=ctx.actor.session_id,
        sessions=sign_in.running_sessions(ctx, ports.settings()), codes_left=recovery_codes.left(ctx, user.id),
        passkeys=passkeys.of_user(ctx, user.id), passkeys_work=here,
        messages=[line(message, None) for message in messages.last_to(ctx, user.id)],
    )  # fmt: skip


def _require_same(form: Form) -> None:
    if form.get("password") != form.get("repeat"):
        raise Invalid.field("repeat", "The two passwords differ.")


@blueprint.post("/sesi/<uuid:session_id>/akhiri")
@operation("session.self", idempotent=False)
def end_session(session_id: UUID) -> AnyResponse:
    """End one of one's own sessions, on another device or here."""
    ctx = context()
    is_this = session_id == ctx.actor.session_id
    sign_in.sign_out(ctx, sign_in.own_session(ctx, session_id).id)
    return clear_cookie(make_response(redirect("/masuk", 303)), ports.settings()) if is_this else seen("accounts.profile", "ended")


@blueprint.get("/undangan/<secret>")
@operation("public")
def invitation_page(secret: str) -> Response:
    """Choose a password and set up the authenticator."""
    return _invitation(secret, Form())


@blueprint.post("/undangan/<secret>")
@operation("public", idempotent=False)
def invitation_form(secret: str) -> AnyResponse:
    """Take the account up; the link is used."""
    ctx, settings, form = context(), ports.settings(), Form.sent()
    with form.attempt(ctx):
        _require_same(form)
        service.enrol(ctx, settings, secret, form.get("password"), form.get("code")[:10])
        return redirect("/masuk", 303)
    return _invitation(secret, form)


def _invitation(secret: str, form: Form) -> Response:
    user, seed = _enrolment(secret)
    uri = totp.provisioning_uri(seed, user.username)
    return form.again("accounts/undangan.html", user=user, seed=seed, uri=uri, qr=qr_address(uri))


def _enrolment(secret: str) -> tuple[User, str]:
    """The account and its seed, made at the first look and kept at once, whatever becomes of this request."""
    ctx, settings = context(), ports.settings()
    service.keep_enrolment_seed(ctx, settings, secret)
    invitation = service.open_invitation(ctx, secret)
    return service.user(ctx, invitation.user_id), service.enrolment_seed(settings, invitation)
