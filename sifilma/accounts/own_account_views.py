"""The actor's own account on the web: accept an invitation, profile, password, preferences, addresses."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, request
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.accounts import consents, enrolments, lost_factors, service
from sifilma.accounts.schemas import ConsentIn, ContactIn, PreferencesIn
from sifilma.approvals.decision_views import attempted
from sifilma.documents.rendering import qr_address
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid, NotFound
from sifilma.messages import service as messages
from sifilma.messages.pages import line
from sifilma.resources import resources
from sifilma.sign_in import contacts, passkeys, recovery_codes, totp
from sifilma.sign_in import service as sign_in
from sifilma.sign_in.cookies import enrolment_cookie_name, set_cookie, set_enrolment_cookie
from sifilma.sign_in.request_gate import require_fresh
from sifilma.web.confirmation import Question
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
    return _profile(Form.begun())


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
        form.stand_on(_preferences(ctx))
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
        form.stand_on(_contact(ctx))
        kept = form.model(ContactIn)
        contacts.keep_contact(ctx, resources().settings, kept.email, kept.phone)
        return seen("accounts.profile", "contact")
    return _profile(form)


def _profile(form: Form) -> Response:
    ctx = context()
    user = service.get_user(ctx, _own_id(ctx))
    preferences = form if "time_zone" in form.values else _preferences(ctx)
    contact = form if "phone" in form.values else _contact(ctx)
    here = passkeys.site(resources().settings, request.host_url.rstrip("/"))
    return form.again(
        "accounts/profil.html",
        user=user,
        preferences=preferences,
        contact=contact,
        this=ctx.actor.session_id,
        sessions=sign_in.running_sessions(ctx, resources().settings),
        codes_left=recovery_codes.left(ctx, user.id),
        codes_made=recovery_codes.made_at(ctx, user.id),
        passkeys=passkeys.of_user(ctx, user.id),
        passkeys_work=here,
        messages=[line(message, None) for message in messages.last_to(ctx, user.id)],
    )


def _own_id(ctx: Context) -> UUID:
    assert ctx.actor.user_id is not None  # noqa: S101  # `session.self` admits people only
    return ctx.actor.user_id


def _preferences(ctx: Context) -> Form:
    """Return the form of preferences filled in with what is stored."""
    user = service.get_user(ctx, _own_id(ctx))
    form = Form.of(language=user.language, time_zone=user.time_zone, revision=f"{user.language}|{user.time_zone}|{user.notices}")
    form.values.setlist("notices", user.notices.split())
    return form


def _contact(ctx: Context) -> Form:
    """Return the form of addresses filled in with what is stored."""
    user = service.get_user(ctx, _own_id(ctx))
    return Form.of(email=user.email, phone=user.phone, revision=f"{user.email}|{user.phone}")


def _require_same(form: Form) -> None:
    if form.get("password") != form.get("repeat"):
        raise Invalid.field("repeat", "The two passwords differ.")


@blueprint.get("/undangan/<secret>")
@operation("public")
def invitation_page(secret: str) -> Response:
    """Show the form of an invitation: password, and the QR code for the authenticator. Each view has a seed of its own.

    A HEAD, as programs that preview links send it, is no view.
    """
    ctx, settings = context(), resources().settings
    if request.method == "HEAD":
        enrolments.get_invitation(ctx, secret)
        return make_response("")
    # The person scans the seed that this page shows, so it is committed before the page is made; this request itself only reads.
    return _invitation(Form(), enrolments.look_first(ctx, settings, secret))


@blueprint.post("/undangan/<secret>")
@operation("public", idempotent=False)
def invitation_form(secret: str) -> AnyResponse:
    """Activate the account and sign in. The link then works no more."""
    ctx, settings, form = context(), resources().settings, Form.sent()
    with form.attempt(ctx):
        _require_same(form)
        user = enrolments.enrol(ctx, settings, secret, _browser(), form.get("password"), form.get("code")[:10])
        begun = sign_in.begin_enrolled(ctx, user, request.user_agent.string)
        return set_cookie(make_response(seen("accounts.profile", "enrolled")), settings, begun.cookie)
    return _invitation(form, enrolments.look_again(ctx, settings, secret, _browser()))


def _browser() -> str:
    return request.cookies.get(enrolment_cookie_name(resources().settings), "")


def _invitation(form: Form, view: enrolments.View) -> Response:
    uri = totp.provisioning_uri(view.seed, view.user.username)
    page = form.again("accounts/undangan.html", view=view, user=view.user, seed=view.seed, uri=uri, qr=qr_address(uri))
    return set_enrolment_cookie(page, resources().settings, view.browser)


@blueprint.get(consents.PAGE)
@operation("session.self")
def requests_about_me() -> Response:
    """Show what others ask of the actor's person: a further account, a second factor reported as lost."""
    return _requests(None, Form())


def _requests(_thing: UUID | None, form: Form) -> Response:
    ctx = context()
    return form.again("accounts/permintaan.html", questions=consents.own_questions(ctx), reports=lost_factors.own_reports(ctx))


def _named_account(ctx: Context, consent_id: UUID) -> str:
    found = next((line for line in consents.own_questions(ctx) if line.consent.id == consent_id), None)
    if found is None:
        raise NotFound()
    return found.user.organisation.name


ANSWER = Question(
    _("Refuse the account"),
    _("Nobody can take the account up as you. The answer cannot be taken back."),
    _named_account,
    "accounts.requests_about_me",
    when=lambda form: form.get("decision") == "refuse",
)


@blueprint.post(f"{consents.PAGE}/<uuid:consent_id>/jawab")
@operation("session.self", idempotent=False, question=ANSWER)
@attempted(_requests)
def answer_consent(ctx: Context, consent_id: UUID, form: Form) -> AnyResponse:
    """Accept or refuse a further account. Accepting needs a fresh one-time code, and leads to the page where the account is taken up."""
    settings, accept = resources().settings, form.model(ConsentIn).decision == "accept"
    if accept:
        require_fresh(ctx.actor, settings)
    _, secret = consents.answer(ctx, settings, consent_id, accept)
    return redirect(f"/undangan/{secret}", 303) if secret else seen("accounts.requests_about_me", "consent_refused")


@blueprint.post(f"{consents.PAGE}/keberatan/<uuid:change_id>")
@operation("session.self", idempotent=False)
@attempted(_requests)
def object_to_report(_ctx: Context, change_id: UUID, _form: Form) -> AnyResponse:
    """Object to the report that the actor's second factor is lost, with a fresh code of it."""
    require_fresh(context().actor, resources().settings)
    lost_factors.object_to(context(), change_id)  # a code that came with the form has changed the actor
    return seen("accounts.requests_about_me", "objected")
