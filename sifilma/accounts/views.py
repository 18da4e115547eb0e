"""Signing in, one-time code, taking up an invitation, one's own sessions."""

from __future__ import annotations

import base64
from uuid import UUID

from flask import Blueprint, Response, g, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from sifilma import ports
from sifilma.accounts import service, sign_in, totp
from sifilma.accounts.authentication import cookie_name
from sifilma.accounts.cookies import clear_cookie, set_cookie
from sifilma.accounts.models import User
from sifilma.documents.rendering import qr_svg
from sifilma.kernel.errors import Invalid, SifilmaError, TooMany, Unauthenticated
from sifilma.web.operations import operation
from sifilma.web.requests import context

blueprint = Blueprint("accounts", __name__, template_folder="templates")

WRONG = "Nama pengguna, kata sandi, atau kode tidak benar."
TEXTS = {
    "sign-in-refused": WRONG,
    "otp-refused": "Kode tidak benar atau sudah dipakai. Tunggu kode berikutnya, lalu coba lagi.",
    "challenge-lapsed": "Proses masuk ini sudah kedaluwarsa. Masuk kembali.",
    "password": "Kata sandi terlalu mudah ditebak atau terlalu pendek: pakai paling sedikit 12 karakter, misalnya beberapa kata.",
    "code": "Kode tidak cocok. Periksa jam ponsel Anda, lalu masukkan kode yang sedang tampil.",
    "repeat": "Kedua kata sandi tidak sama.",
}


def _refused(template: str, error: SifilmaError, **values: object) -> Response:
    """The form again, with what is wrong in words; the status tells programs."""
    field = error.errors[0]["field"] if isinstance(error, Invalid) and error.errors else ""
    text = TEXTS.get(error.type) or TEXTS.get(field) or WRONG
    if isinstance(error, TooMany):
        text = f"Terlalu banyak percobaan. Coba lagi dalam {error.retry_after} detik."
    response = make_response(render_template(template, message=text, field=field, **values), error.status)
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


@blueprint.get("/masuk")
@operation("public")
def sign_in_page() -> str:
    """The first step."""
    return render_template("accounts/masuk.html", username="")


@blueprint.post("/masuk")
@operation("public", reads_first=True, idempotent=False)
def sign_in_form() -> AnyResponse:
    """User name and password; on to the one-time code."""
    username = request.form.get("username", "")[:60]
    try:
        cookie = sign_in.check_password(context(), username, request.form.get("password", ""), request.user_agent.string)
    except (Unauthenticated, TooMany) as error:
        return _refused("accounts/masuk.html", error, username=username)
    response = make_response(redirect("/masuk/kode", 303))
    return set_cookie(response, ports.settings(), cookie)


@blueprint.get("/masuk/kode")
@operation("public")
def code_page() -> str:
    """The second step."""
    return render_template("accounts/kode.html")


@blueprint.post("/masuk/kode")
@operation("public", idempotent=False)
def code_form() -> AnyResponse:
    """The one-time code; a code counts once."""
    settings = ports.settings()
    try:
        done = sign_in.check_otp(context(), settings, request.cookies.get(cookie_name(settings)), request.form.get("code", "")[:10])
    except (Unauthenticated, TooMany) as error:
        return _refused("accounts/kode.html", error)
    response = make_response(redirect("/", 303))
    return set_cookie(response, settings, done.cookie)


@blueprint.get("/")
@operation("session.self")
def home() -> str:
    """Who is signed in, and where."""
    ctx = context()
    assert ctx.actor.user_id is not None  # noqa: S101  # the hook lets only people in
    sessions = sign_in.running_sessions(ctx, ports.settings())
    return render_template(
        "accounts/beranda.html", user=service.user(ctx, ctx.actor.user_id), sessions=sessions, this=ctx.actor.session_id, csrf=g.csrf
    )


@blueprint.post("/sesi/<uuid:session_id>/akhiri")
@operation("session.self", idempotent=False)
def end_session(session_id: UUID) -> AnyResponse:
    """End one of one's own sessions, on another device or here."""
    ctx = context()
    is_this = session_id == ctx.actor.session_id
    sign_in.sign_out(ctx, sign_in.own_session(ctx, session_id).id)
    response = make_response(redirect("/masuk" if is_this else "/", 303))
    return clear_cookie(response, ports.settings()) if is_this else response


@blueprint.get("/undangan/<secret>")
@operation("public")
def invitation_page(secret: str) -> str:
    """Choose a password and set up the authenticator."""
    return _invitation(secret)


@blueprint.post("/undangan/<secret>")
@operation("public", idempotent=False)
def invitation_form(secret: str) -> AnyResponse:
    """Take the account up; the link is used."""
    ctx, settings = context(), ports.settings()
    password = request.form.get("password", "")
    try:
        if password != request.form.get("repeat", ""):
            raise Invalid.field("repeat", "The two passwords differ.")
        service.enrol(ctx, settings, secret, password, request.form.get("code", "")[:10])
    except Invalid as error:
        ctx.uow.rollback()
        user, seed = _enrolment(secret)
        return _refused("accounts/undangan.html", error, user=user, seed=seed, qr=_qr(seed, user.username))
    return make_response(redirect("/masuk", 303))


def _invitation(secret: str) -> str:
    user, seed = _enrolment(secret)
    return render_template("accounts/undangan.html", user=user, seed=seed, qr=_qr(seed, user.username), field="")


def _enrolment(secret: str) -> tuple[User, str]:
    """The account and its seed, made at the first look and kept at once, whatever becomes of this request."""
    ctx, settings = context(), ports.settings()
    service.keep_enrolment_seed(ctx, settings, secret)
    invitation = service.open_invitation(ctx, secret)
    return service.user(ctx, invitation.user_id), service.enrolment_seed(settings, invitation)


def _qr(seed: str, username: str) -> str:
    """The QR code as a data address: no image of a secret lies anywhere."""
    svg = qr_svg(totp.provisioning_uri(seed, username))
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
