"""Accounts on the web: list, invite, change, and decide on proposals of others."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, make_response, render_template, request
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.accounts import consents, lost_factors, proposals, queries, service
from sifilma.accounts.pages import EXPORT, InvitationLink, account_page, invitation_link, list_lines, proposal_lines, roles_of
from sifilma.accounts.schemas import DecisionIn, DeputyIn, LostFactorIn, UserChangeIn, UserIn
from sifilma.approvals.decision_views import attempted
from sifilma.documents import list_views
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("user_pages", __name__, url_prefix="/pengguna", template_folder="templates")
DONE = {"disable": "disabled", "enable": "enabled", "roles": "roles"}


@blueprint.get("")
@operation("users.see")
def index() -> Response:
    """List the accounts of the actor's organisation. A user administrator sees those of all organisations."""
    ctx, form = context(), Form(request.args)
    listing = queries.list_users(ctx, form.get("nama").strip()[:60], form.get("state"), form.get("organisasi").strip()[:100])
    waiting = len(queries.open_changes(ctx))
    clashes = queries.list_clashes(ctx) if grants(ctx.actor, Operation.USERS_CENTRAL) else []
    return list_views.answer(
        "accounts/users.html", listing, lambda users: list_lines(ctx, users), EXPORT, form=form, waiting=waiting, clashes=clashes
    )


@blueprint.get("/baru")
@operation("users.see")
def new() -> Response:
    """Show the form of an invitation. A user administrator chooses the organisation first."""
    return _invitation_form(context(), Form.begun(organisation=request.args.get("organisasi"), id_kind="nip"))


@blueprint.post("/baru")
@operation("users.own", idempotent=False)
def invite() -> AnyResponse:
    """Invite somebody into the actor's own organisation. Only this answer shows the link."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        body = form.model(UserIn, roles=form.values.getlist("roles"), organisation=None)
        user, secret = service.invite(ctx, resources().settings, service.get_own_organisation(ctx), body.new_user())
        return _handed_out(invitation_link(resources().settings, user, secret))
    return _invitation_form(ctx, form)


@blueprint.post("/pusat/baru")
@operation("users.central", idempotent=False)
def invite_by_admin() -> AnyResponse:
    """Invite a first head at once, or propose a central person to a second user administrator."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        body = form.model(UserIn, roles=form.values.getlist("roles"))
        organisation = service.get_organisation(ctx, body.organisation)
        user, _, secret = proposals.invite_by_admin(ctx, resources().settings, organisation, body.new_user())
        if secret:
            return _handed_out(invitation_link(resources().settings, user, secret))
        return seen("user_pages.proposals", "proposed")
    return _invitation_form(ctx, form)


def _invitation_form(ctx: Context, form: Form) -> Response:
    """Return the form with the roles of the organisation. Without one, return the page on which a user administrator chooses it."""
    if not grants(ctx.actor, Operation.USERS_CENTRAL):
        return form.again(
            "accounts/user_new.html", organisation=None, roles=roles_of(service.get_own_organisation(ctx)), action="/pengguna/baru"
        )
    chosen = queries.find_organisation(ctx, form.get("organisation"))
    if chosen is None:
        text = request.args.get("cari", "").strip()[:100]
        found = queries.organisations_without_head(ctx, text)
        return form.again("accounts/user_where.html", found=found, text=text, directorate=service.get_own_organisation(ctx))
    return form.again("accounts/user_new.html", organisation=chosen, roles=roles_of(chosen), action="/pengguna/pusat/baru")


def _handed_out(page: InvitationLink) -> Response:
    """Return the page with a link. The link cannot be shown again, since only its hash is stored."""
    return make_response(render_template("accounts/user_link.html", page=page), 201)


@blueprint.get("/<uuid:user_id>")
@operation("users.see")
def show(user_id: UUID) -> Response:
    """Show one account."""
    return _account(user_id, Form.begun())


def _account(user_id: UUID, form: Form) -> Response:
    ctx = context()
    return form.again("accounts/user.html", **account_page(ctx, queries.get_visible_user(ctx, user_id)))


def _named_account(ctx: Context, user_id: UUID) -> str:
    found = queries.get_visible_user(ctx, user_id)
    return f"{found.person.name} · {found.username}"


CHANGE = Question(
    _("Disable the account"),
    _("All sessions of the person end at once, and open links with them. The account can be enabled again."),
    _named_account,
    "user_pages.show",
    when=lambda form: form.get("change") == "disable",
)
LINK = Question(
    _("Make a new invitation link"),
    _("The former link opens nothing any more."),
    _named_account,
    "user_pages.show",
)


@blueprint.post("/<uuid:user_id>/ubah")
@operation("users.own", idempotent=False, question=CHANGE)
@attempted(_account)
def change(ctx: Context, user_id: UUID, form: Form) -> AnyResponse:
    """Disable, enable or change the roles of an account of the actor's organisation."""
    body = _change(form)
    service.change(ctx, service.get_own_user(ctx, user_id), body.change, body.role_set())
    return seen("user_pages.show", DONE[body.change], user_id=user_id)


@blueprint.post("/<uuid:user_id>/undang-ulang")
@operation("users.own", idempotent=False, question=LINK)
@attempted(_account)
def invite_again(ctx: Context, user_id: UUID, _form: Form) -> AnyResponse:
    """Make a new link for an account that is not activated yet."""
    user, settings = service.get_own_user(ctx, user_id), resources().settings
    return _handed_out(invitation_link(settings, user, service.invite_again(ctx, settings, user)))


@blueprint.post("/<uuid:user_id>/pusat/undang-ulang")
@operation("users.central", idempotent=False, question=LINK)
@attempted(_account)
def invite_head_again(ctx: Context, user_id: UUID, _form: Form) -> AnyResponse:
    """Make a new link for a head whose account is not activated yet."""
    user, settings = queries.get_visible_user(ctx, user_id), resources().settings
    return _handed_out(invitation_link(settings, user, proposals.invite_head_again(ctx, settings, user)))


@blueprint.post("/<uuid:user_id>/pusat/usulan")
@operation("users.central", idempotent=False)
@attempted(_account)
def propose(ctx: Context, user_id: UUID, form: Form) -> AnyResponse:
    """Propose a change of a central account to a second user administrator."""
    user = queries.get_visible_user(ctx, user_id)
    if form.get("change") == "invite":
        proposals.propose_change(ctx, user, "invite", reason=form.get("note").strip()[:2000])
    else:
        body = _change(form)
        proposals.propose_change(ctx, user, body.change, body.role_set(), body.reason)
    return seen("user_pages.proposals", "proposed")


@blueprint.post("/<uuid:user_id>/pusat/peran-sementara")
@operation("users.central", idempotent=False)
@attempted(_account)
def propose_deputy(ctx: Context, user_id: UUID, form: Form) -> AnyResponse:
    """Propose to give a central account a role until a day, for a second user administrator to execute."""
    user, body = queries.get_visible_user(ctx, user_id), form.model(DeputyIn)
    proposals.propose_deputy(ctx, user, body.role, body.until, body.basis)
    return seen("user_pages.proposals", "proposed")


def _change(form: Form) -> UserChangeIn:
    values: dict[str, Any] = {"roles": form.values.getlist("roles"), "reason": form.get("note")}
    return form.model(UserChangeIn, **values)


@blueprint.get("/usulan", endpoint="proposals")
@operation("users.see")
def list_proposals() -> Response:
    """List the proposals that wait for a second person."""
    return _proposals(None, Form.begun())


def _proposals(_change_id: UUID | None, form: Form) -> Response:
    ctx = context()
    orphaned = consents.orphaned(ctx) if grants(ctx.actor, Operation.USERS_CENTRAL) else []
    return form.again("accounts/user_changes.html", proposals=proposal_lines(ctx), orphaned=orphaned)


def _named_change(ctx: Context, change_id: UUID) -> str:
    found = next((line for line in proposal_lines(ctx) if line.proposal.id == change_id), None)
    if found is None:
        raise NotFound()
    return found.user.person.name


DECIDE = Question(
    _("Decide on the proposal"),
    _("If it is executed, the change is in force at once. If it is rejected, the proposal ends here for good."),
    _named_change,
    "user_pages.proposals",
)
DECIDE_LOST = Question(
    _("Decide on the lost second factor"),
    _("If it is confirmed, password, second factors and sessions of the person end at once. If it is rejected, the report ends here."),
    _named_change,
    "user_pages.proposals",
)


@blueprint.post("/usulan/<uuid:change_id>")
@operation("users.central", idempotent=False, question=DECIDE)
@attempted(_proposals)
def decide(ctx: Context, change_id: UUID, form: Form) -> AnyResponse:
    """Execute or reject a proposal. Whoever executes an invitation is shown its link."""
    proposal, secret = proposals.decide_change(ctx, resources().settings, change_id, form.get("decision") == "execute")
    return _decided(ctx, proposal.user_id, secret)


@blueprint.post("/usulan/orang/<uuid:consent_id>")
@operation("users.central", idempotent=False)
@attempted(_proposals)
def propose_person(ctx: Context, consent_id: UUID, _form: Form) -> AnyResponse:
    """Propose that an account becomes one of a known person who has no account in use to consent from."""
    proposals.propose_person(ctx, consent_id)
    return seen("user_pages.proposals", "proposed")


@blueprint.post("/<uuid:user_id>/faktor-hilang")
@operation("users.factor", idempotent=False)
@attempted(_account)
def report_lost(ctx: Context, user_id: UUID, form: Form) -> AnyResponse:
    """Report a second factor as lost, for a second person to decide."""
    lost_factors.report(ctx, resources().settings, user_id, form.model(LostFactorIn).reason)
    return seen("user_pages.proposals", "proposed")


@blueprint.post("/usulan/<uuid:change_id>/faktor-hilang")
@operation("users.factor", idempotent=False, question=DECIDE_LOST)
@attempted(_proposals)
def decide_lost(ctx: Context, change_id: UUID, form: Form) -> AnyResponse:
    """Confirm or reject the report of a lost second factor. Whoever confirms it is shown the new link."""
    execute = form.model(DecisionIn).decision == "execute"
    proposal, secret = lost_factors.decide(ctx, resources().settings, change_id, execute)
    return _decided(ctx, proposal.user_id, secret)


def _decided(ctx: Context, user_id: UUID, secret: str | None) -> AnyResponse:
    if not secret:
        return seen("user_pages.proposals", "decided")
    return _handed_out(invitation_link(resources().settings, service.get_user(ctx, user_id), secret))
