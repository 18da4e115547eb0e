"""Second factors on the web, besides the authenticator app: sent codes, recovery codes, passkeys."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template, request
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, NotFound
from sifilma.resources import resources
from sifilma.sign_in import passkeys, recovery_codes
from sifilma.sign_in import service as sign_in
from sifilma.sign_in.authentication import cookie_name
from sifilma.sign_in.cookies import set_cookie
from sifilma.sign_in.passkeys import Site
from sifilma.sign_in.request_gate import require_fresh
from sifilma.sign_in.views import code_step, signed_in
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import own_address, seen
from sifilma.web.requests import context

blueprint = Blueprint("factors", __name__, template_folder="templates")


def _site() -> Site:
    found = passkeys.site(resources().settings, request.headers.get("Origin", request.host_url.rstrip("/")))
    if found is None:
        raise Conflict("Passkeys work only under this installation's own name.", type="no-passkeys-here")
    return found


def _cookie() -> str | None:
    return request.cookies.get(cookie_name(resources().settings))


def _json(options: str) -> Response:
    return Response(options, content_type="application/json")


@blueprint.post("/masuk/kode/kirim")
@operation("public", idempotent=False)
def send_code() -> AnyResponse:
    """Send a code by SMS or e-mail, if the channel is switched on."""
    form, ctx = Form.sent(), context()
    with form.attempt(ctx):
        sign_in.send_code(ctx, resources().settings, _cookie(), form.get("channel"))
        return seen("sign_in.code_page", "sent")
    return code_step(form)


@blueprint.post("/masuk/kunci-sandi/opsi")
@operation("public", idempotent=False)
def sign_in_options() -> Response:
    """Return the options for `navigator.credentials.get` in the second step of signing in (JSON)."""
    return _json(sign_in.passkey_options(context(), _site(), _cookie()))


@blueprint.post("/masuk/kunci-sandi")
@operation("public", idempotent=False)
def sign_in_by_passkey() -> AnyResponse:
    """Accept a passkey as the second step."""
    form, ctx = Form.sent(), context()
    with form.attempt(ctx):
        return signed_in(sign_in.check_passkey(ctx, _site(), _cookie(), passkeys.read_credential(form.get("passkey"))))
    return code_step(form)


@blueprint.post("/masuk/ulang/kunci-sandi/opsi")
@operation("session.self", idempotent=False)
def step_up_options() -> Response:
    """Return the options for `navigator.credentials.get` for a fresh second factor (JSON)."""
    ctx = context()
    assert ctx.actor.user_id is not None and ctx.actor.session_id is not None  # noqa: S101, PT018  # the gate admits only people
    return _json(passkeys.sign_in_options(ctx, _site(), ctx.actor.user_id, ctx.actor.session_id))


@blueprint.post("/masuk/ulang/kunci-sandi")
@operation("session.self", idempotent=False)
def step_up_by_passkey() -> AnyResponse:
    """Accept a passkey as a fresh second factor, then redirect to the page that needed it."""
    done = sign_in.step_up_by_passkey(context(), _site(), passkeys.read_credential(request.form.get("passkey", "")))
    return set_cookie(make_response(redirect(own_address(request.form.get("kembali", "/")), 303)), resources().settings, done.cookie)


@blueprint.post("/profil/kode-pemulihan")
@operation("session.self", idempotent=False)
def make_recovery_codes() -> str:
    """Make ten new recovery codes and show them, this one time: the form of a page that is loaded again is refused."""
    ctx, settings = context(), resources().settings
    require_fresh(ctx.actor, settings)
    return render_template("sign_in/kode_pemulihan.html", codes=recovery_codes.make_once(context(), settings, request.form.get("made", "")))


@blueprint.post("/profil/kunci-sandi/opsi")
@operation("session.self", idempotent=False)
def registration_options() -> Response:
    """Return the options for `navigator.credentials.create` (JSON)."""
    return _json(passkeys.registration_options(context(), _site()))


@blueprint.post("/profil/kunci-sandi")
@operation("session.self", idempotent=False)
def register() -> AnyResponse:
    """Store the passkey that the browser made."""
    ctx = context()
    require_fresh(ctx.actor, resources().settings)
    passkeys.register(ctx, _site(), request.form.get("name", ""), passkeys.read_credential(request.form.get("passkey", "")))
    return seen("accounts.profile", "saved")


def _named(ctx: Context, passkey_id: UUID) -> str:
    own = passkeys.of_user(ctx, ctx.actor.user_id) if ctx.actor.user_id else []
    found = next((one for one in own if one.id == passkey_id), None)
    if found is None:
        raise NotFound()
    return found.name


REMOVE = Question(
    _("Remove the passkey"),
    _("Nobody signs in with it any more. It cannot be brought back; a device can be registered anew."),
    _named,
    "accounts.profile",
)


@blueprint.post("/profil/kunci-sandi/<uuid:passkey_id>/hapus")
@operation("session.self", idempotent=False, question=REMOVE)
def remove(passkey_id: UUID) -> AnyResponse:
    """Remove one of the actor's passkeys for good."""
    ctx = context()
    require_fresh(ctx.actor, resources().settings)
    passkeys.remove(ctx, passkey_id)
    return seen("accounts.profile", "saved")
