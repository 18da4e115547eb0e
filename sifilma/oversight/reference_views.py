"""Changes of reference data on the web: an operator proposes one row or a file of rows, an approver executes them."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from sifilma.accounts.schemas import OrganisationIn
from sifilma.approvals.decision_views import Decision, add_decisions, bound, noted
from sifilma.documents import list_views, lists
from sifilma.documents.file_views import paper
from sifilma.documents.forms import upload
from sifilma.documents.lists import Export
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.oversight import pages, reference
from sifilma.oversight.models import ChangeKind, ChangeState
from sifilma.oversight.schemas import AgreementIn, ModelIn
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import moment, seen
from sifilma.web.requests import context
from sifilma.web.states import kind, named, state
from sifilma.web.texts import translate

blueprint = Blueprint("reference_pages", __name__, url_prefix="/organisasi", template_folder="templates")
FILES = {"organisasi": ChangeKind.ORGANISATIONS, "pks": ChangeKind.AGREEMENTS, "model": ChangeKind.MODELS}
EXPORT = Export(
    "usulan",
    {
        _("What is added"): lambda one: kind(one[0].kind),
        _("Rows"): lambda one: one[0].count,
        _("State"): lambda one: state(one[0].state).name,
        _("Proposed by"): lambda one: one[1],
        _("Proposed"): lambda one: moment(one[0].proposed_at),
    },
    counted=lambda number, words: ngettext("%(count)s proposal", "%(count)s proposals", number, count=words),
    filters={"state": "", "kind": ""},
)


@blueprint.get("/usulan")
@operation("reference.proposals.view")
def index() -> Response:
    """List the changes of reference data."""
    ctx, form = context(), Form(request.args)
    listing = reference.list_changes(ctx, form.get("state").strip()[:20], form.get("kind").strip()[:20])
    return list_views.answer(
        "oversight/changes.html",
        listing,
        lambda changes: pages.proposers(ctx, changes),
        EXPORT,
        form=form,
        states=named(ChangeState),
        kinds=[(one.value, kind(one)) for one in ChangeKind],
    )


@blueprint.get("/usulan/<uuid:change_id>")
@operation("reference.proposals.view")
def show(change_id: UUID) -> Response:
    """Show a change with its rows."""
    return _page(change_id, Form.begun())


@blueprint.get("/usulan/<uuid:change_id>/dokumen")
@operation("reference.proposals.view")
def document(change_id: UUID) -> Response:
    """Return the PDF that came with a change. The download is recorded."""
    handed = reference.document_of(context(), resources().files, change_id)
    return paper(handed.data, handed.media_type, handed.filename)


@blueprint.get("/baru")
@operation("reference.draft")
def new_organisation() -> Response:
    """Show the form of an organisation."""
    return _organisation(Form.begun(kind=request.args.get("kind")))


@blueprint.post("/baru")
@operation("reference.draft")
def propose_organisation() -> AnyResponse:
    """Propose to add an organisation."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        made = reference.propose_row(ctx, ChangeKind.ORGANISATIONS, form.model(OrganisationIn))
        return seen("reference_pages.show", "proposed", change_id=made.id)
    return _organisation(form)


@blueprint.get("/<uuid:organisation_id>/pks")
@operation("reference.draft")
def new_agreement(organisation_id: UUID) -> Response:
    """Show the form of an institution's agreement."""
    return _agreement(organisation_id, Form.begun())


@blueprint.post("/<uuid:organisation_id>/pks")
@operation("reference.draft")
def propose_agreement(organisation_id: UUID) -> AnyResponse:
    """Propose to add an agreement of an institution."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        institution = reference.get_organisation_of_kind(ctx, organisation_id, OrganisationKind.INSTITUTION)
        row = form.model(AgreementIn, institution=institution.name)
        made = reference.propose_agreement(ctx, resources().files, row, upload("document"))
        return seen("reference_pages.show", "proposed", change_id=made.id)
    return _agreement(organisation_id, form)


@blueprint.get("/<uuid:organisation_id>/model")
@operation("reference.draft")
def new_model(organisation_id: UUID) -> Response:
    """Show the form of a manufacturer's model."""
    return _model(organisation_id, Form.begun())


@blueprint.post("/<uuid:organisation_id>/model")
@operation("reference.draft")
def propose_model(organisation_id: UUID) -> AnyResponse:
    """Propose to add a model of a manufacturer."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        maker = reference.get_organisation_of_kind(ctx, organisation_id, OrganisationKind.MANUFACTURER)
        made = reference.propose_row(ctx, ChangeKind.MODELS, form.model(ModelIn, manufacturer=maker.name))
        return seen("reference_pages.show", "proposed", change_id=made.id)
    return _model(organisation_id, form)


@blueprint.get("/berkas/<name>")
@operation("reference.draft")
def new_file(name: str) -> Response:
    """Show the form for a file of rows."""
    return _file(name, Form.begun())


@blueprint.post("/berkas/<name>")
@operation("reference.draft")
def propose_file(name: str) -> AnyResponse:
    """Propose the rows of a file. If one row has an error, none is proposed."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        made = reference.propose_file(ctx, _kind(name), upload("file"), resources().settings.batch_max_rows)
        return seen("reference_pages.show", "proposed", change_id=made.id)
    return _file(name, form)


@blueprint.get("/berkas/<name>/templat.<extension>")
@operation("reference.draft")
def template(name: str, extension: str) -> Response:
    """Return an empty table with the columns of an import file."""
    return lists.form_table(extension, name, reference.TABLES[_kind(name)].template(context()), translate)


def _kind(name: str) -> ChangeKind:
    if name not in FILES:
        raise NotFound()
    return FILES[name]


def _page(change_id: UUID, form: Form) -> Response:
    ctx = context()
    found = reference.get_change(ctx, change_id)
    columns = reference.TABLES[ChangeKind(found.kind)].columns
    return form.again("oversight/change.html", page=pages.change_page(ctx, found), columns=columns)


def _organisation(form: Form) -> Response:
    kinds = [(one.value, kind(one)) for one in OrganisationKind if one is not OrganisationKind.DIRECTORATE]
    return form.again("oversight/organisation_new.html", kinds=kinds)


def _agreement(organisation_id: UUID, form: Form) -> Response:
    institution = reference.get_organisation_of_kind(context(), organisation_id, OrganisationKind.INSTITUTION)
    return form.again("oversight/agreement_new.html", institution=institution)


def _model(organisation_id: UUID, form: Form) -> Response:
    maker = reference.get_organisation_of_kind(context(), organisation_id, OrganisationKind.MANUFACTURER)
    return form.again("oversight/model_new.html", maker=maker)


def _file(name: str, form: Form) -> Response:
    table = reference.TABLES[_kind(name)]
    return form.again("oversight/reference_file.html", name=name, columns=table.form, max_rows=resources().settings.batch_max_rows)


def _named(ctx: Context, change_id: UUID) -> str:
    found = reference.get_change(ctx, change_id)
    return f"{kind(found.kind)} · {found.count}"


EXECUTE = Question(
    _("Execute the change"),
    _("All rows are registered at once. What is registered is not deleted again."),
    _named,
    "reference_pages.show",
)
REJECT = Question(
    _("Reject the change for good"),
    _("The proposal ends here for good, and its proposer reads your note."),
    _named,
    "reference_pages.show",
)
WITHDRAW = Question(
    _("Take back the change"),
    _("The proposal ends here for good. It can be proposed anew."),
    _named,
    "reference_pages.show",
)
add_decisions(
    blueprint,
    "/usulan/<uuid:change_id>",
    "show",
    _page,
    Decision("laksanakan", "reference.execute", bound(reference.execute), "executed", question=EXECUTE),
    Decision("tolak", "reference.execute", noted(reference.reject), "rejected", question=REJECT),
    Decision("tarik", "reference.draft", noted(reference.withdraw), "taken_back", question=WITHDRAW),
)
