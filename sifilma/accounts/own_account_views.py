"""The actor's own account on the web: accept an invitation, profile, password, preferences, addresses."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from sifilma.accounts import service
from sifilma.accounts.schemas import ContactIn, PreferencesIn
from sifilma.documents.rendering import qr_address
from sifilma.kernel.errors import Invalid
from sifilma.messages import service as messages
from sifilma.messages.pages import line
from sifilma.resources import resources
from sifilma.sign_in import contacts, passkeys, recovery_codes, totp
from sifilma.sign_in import service as sign_in
from sifilma.sign_in.request_gate import require_fresh
from sifilma.web.forms import Form
from sifilma.web.languages import COOKIE
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("accounts", __name__, template_folder="templates")


@blueprint.get("/profil")
@operation("session.self")
def profile() -> AnyResponse:
    """Show the actor's account, password form, sessions and recent messages."""
    return _profile(Form())


@blueprint.post("/profil/kata-sandi")
@operation("session.self", idempotent=False)
def change_password() -> AnyResponse:
    """Change the password. Every other session of the account ends."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        _require_same(form)
        service.change_password(ctx, resources().settings, form.get("current"), form.get("password"))
        return seen("accounts.profile", "password")
    return _profile(form)


@blueprint.post("/profil/pilihan")
@operation("session.self", idempotent=False)
def choose_preferences() -> AnyResponse:
    """Store the language, the time zone, and the channels for reminders."""
    form, ctx = Form.sent(), context()
    with form.attempt(ctx):
        kept = form.model(PreferencesIn, notices=request.form.getlist("notices"))
        service.keep_preferences(ctx, kept.language, kept.time_zone, kept.notices)
        response = make_response(seen("accounts.profile", "preferences"))
        response.delete_cookie(COOKIE)  # the browser's choice takes precedence over the stored language and would hide it
        return response
    return _profile(form)


@blueprint.post("/profil/alamat")
@operation("session.self", idempotent=False)
def keep_contact() -> AnyResponse:
    """Store the e-mail address and phone number. A fresh one-time code is needed, because sign-in codes are sent there."""
    form, ctx = Form.sent(), context()
    with form.attempt(ctx):
        require_fresh(ctx.actor, resources().settings)
        kept = form.model(ContactIn)
        contacts.keep_contact(ctx, resources().settings, kept.email, kept.phone)
        return seen("accounts.profile", "contact")
    return _profile(form)


def _profile(form: Form) -> Response:
    ctx = context()
    assert ctx.actor.user_id is not None  # noqa: S101  # `session.self` admits people only
    user = service.get_user(ctx, ctx.actor.user_id)
    preferences = Form.of(language=user.language, time_zone=user.time_zone)
    contact = form if "phone" in form.values else Form.of(email=user.email, phone=user.phone)
    here = passkeys.site(resources().settings, request.host_url.rstrip("/"))
    return form.again(
        "accounts/profil.html",
        user=user,
        preferences=preferences,
        contact=contact,
        this=ctx.actor.session_id,
        sessions=sign_in.running_sessions(ctx, resources().settings),
        codes_left=recovery_codes.left(ctx, user.id),
        passkeys=passkeys.of_user(ctx, user.id),
        passkeys_work=here,
        messages=[line(message, None) for message in messages.last_to(ctx, user.id)],
    )


def _require_same(form: Form) -> None:
    if form.get("password") != form.get("repeat"):
        raise Invalid.field("repeat", "The two passwords differ.")


@blueprint.get("/undangan/<secret>")
@operation("public")
def invitation_page(secret: str) -> Response:
    """Show the form of an invitation: password, and the QR code for the authenticator."""
    return _invitation(secret, Form())


@blueprint.post("/undangan/<secret>")
@operation("public", idempotent=False)
def invitation_form(secret: str) -> AnyResponse:
    """Activate the account. The link then works no more."""
    ctx, settings, form = context(), resources().settings, Form.sent()
    with form.attempt(ctx):
        _require_same(form)
        service.enrol(ctx, settings, secret, form.get("password"), form.get("code")[:10])
        return redirect("/masuk", 303)
    return _invitation(secret, form)


def _invitation(secret: str, form: Form) -> Response:
    ctx, settings = context(), resources().settings
    # The person scans the seed that this page shows, so it is committed before the page is made; this request itself only reads.
    service.keep_enrolment_seed(ctx, settings, secret)
    invitation = service.get_invitation(ctx, secret)
    user, seed = service.get_user(ctx, invitation.user_id), service.enrolment_seed(settings, invitation)
    uri = totp.provisioning_uri(seed, user.username)
    return form.again("accounts/undangan.html", user=user, seed=seed, uri=uri, qr=qr_address(uri))
