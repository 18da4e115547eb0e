"""The succession of heads on the web: propose, look, decide; and the organisations without a living head."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, make_response, render_template, request
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.accounts.pages import invitation_link
from sifilma.accounts.schemas import DecisionIn
from sifilma.accounts.service import get_own_organisation
from sifilma.approvals.decision_views import attempted
from sifilma.documents import list_views
from sifilma.documents.file_views import paper
from sifilma.documents.forms import upload
from sifilma.kernel.context import Context
from sifilma.resources import resources
from sifilma.succession import pages, queries, service
from sifilma.succession.schemas import SuccessionIn
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context
from sifilma.web.states import named

blueprint = Blueprint("succession_pages", __name__, url_prefix="/pergantian", template_folder="templates")
STATES = ("proposed", "executed", "rejected")
INVITED = "invited"
"""The group of fields of a new person."""


@blueprint.get("")
@operation("users.see")
def index() -> Response:
    """List successions: a head sees those of the own organisation, a user administrator all."""
    ctx, form = context(), Form(request.args)
    listing = queries.list_successions(ctx, form.get("state")[:20], form.get("organisasi").strip()[:100])
    return list_views.answer("succession/successions.html", listing, list, pages.EXPORT, form=form, states=named(STATES))


@blueprint.get("/tanpa-kepala")
@operation("heads.see")
def vacancies() -> Response:
    """List the organisations without a living head: a province sees the offices of its regencies, the directorate all."""
    ctx, form = context(), Form(request.args)
    listing = queries.list_vacancies(ctx, form.get("nama").strip()[:100], form.get("jenis")[:20], form.get("sebab")[:20])
    return list_views.answer(
        "succession/vacancies.html",
        listing,
        lambda found: pages.vacancy_lines(ctx, found),
        pages.VACANCIES,
        form=form,
        kinds=pages.kinds(),
        reasons=pages.REASONS,
    )


@blueprint.get("/baru")
@operation("users.see")
def new() -> Response:
    """Show the form. A user administrator comes with an organisation, from its head or from the list of those without one."""
    begun = Form.begun(organisation=request.args.get("organisasi"), outgoing=request.args.get("kepala"), former="disabled")
    return _form(context(), begun)


@blueprint.post("/baru")
@operation("users.succession", idempotent=False)
def propose() -> AnyResponse:
    """Propose that somebody follows as head by a decree."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        person = form.within(INVITED)
        more: dict[str, Any] = {"invited": person} if person and not form.get("successor") else {}
        made = service.propose(ctx, resources().settings, resources().files, form.model(SuccessionIn, **more), upload("decree"))
        return seen("succession_pages.show", "proposed", succession_id=made.id)
    return _form(ctx, form)


def _form(ctx: Context, form: Form) -> Response:
    central = ctx.actor.is_central
    organisation = queries.find_organisation(ctx, form.get("organisation")) if central else get_own_organisation(ctx)
    if organisation is None:
        text = request.args.get("cari", "").strip()[:100]
        return form.again("succession/where.html", found=queries.organisations_named(ctx, text), text=text)
    return form.again("succession/new.html", organisation=organisation, choices=pages.choices(ctx, organisation), central=central)


@blueprint.get("/<uuid:succession_id>")
@operation("users.see")
def show(succession_id: UUID) -> Response:
    """Show a succession beside its decree: who follows whom, and what passes on."""
    return _page(succession_id, Form.begun())


def _page(succession_id: UUID, form: Form) -> Response:
    ctx = context()
    return form.again("succession/succession.html", **pages.succession_page(ctx, queries.get_succession(ctx, succession_id)))


@blueprint.get("/<uuid:succession_id>/sk")
@operation("users.see")
def decree(succession_id: UUID) -> Response:
    """Return the decree as a PDF. The download is recorded."""
    handed = service.decree_of(context(), resources().files, succession_id)
    return paper(handed.data, handed.media_type, handed.filename)


def _named(ctx: Context, succession_id: UUID) -> str:
    found = queries.get_succession(ctx, succession_id)
    return f"{found.organisation.name}: {found.successor.person.name}"


DECIDE = Question(
    _("Decide on the succession"),
    _("If it is executed, the new head is head at once, and open work passes on. A rejection ends it for good."),
    _named,
    "succession_pages.show",
)


@blueprint.post("/<uuid:succession_id>/putusan")
@operation("users.succession", idempotent=False, question=DECIDE)
@attempted(_page)
def decide(ctx: Context, succession_id: UUID, form: Form) -> AnyResponse:
    """Execute, reject or withdraw a succession. Where a new person becomes head, the link is shown once."""
    execute = form.model(DecisionIn).decision == "execute"
    found = queries.get_succession(ctx, succession_id)
    leaves = found.outgoing_id == ctx.actor.user_id and found.former != "head"
    _proposal, secret = service.decide(ctx, resources().settings, succession_id, execute)
    if secret:
        page = invitation_link(resources().settings, found.successor, secret)
        return make_response(render_template("accounts/user_link.html", page=page), 201)
    if leaves and execute:  # who has just stopped being head sees this page no more
        return seen("home.show", "decided")
    return seen("succession_pages.show", "decided", succession_id=succession_id)
