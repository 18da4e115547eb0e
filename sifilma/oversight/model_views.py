"""Models on the web: their certificates, and the applications (cases) for them."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, render_template, request
from flask_babel import lazy_gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.approvals.decision_views import Decision, add_decisions, bound, noted
from sifilma.documents import list_views
from sifilma.documents.file_views import paper
from sifilma.documents.forms import upload
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.oversight import cases, pages
from sifilma.oversight.models import CASE, CaseState
from sifilma.oversight.schemas import CaseIn, CertificateIn
from sifilma.resources import resources
from sifilma.web.confirmation import Question
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context
from sifilma.web.states import named

blueprint = Blueprint("model_pages", __name__, url_prefix="/model", template_folder="templates")
CERTIFICATE = ("number", "issuer", "issued_on", "valid_until", "tkdn")


@blueprint.get("")
@operation("model.view")
def index() -> Response:
    """List the models the actor may see."""
    ctx, form = context(), Form(request.args)
    listing = pages.list_models(ctx, form.get("q").strip()[:100], form.get("state").strip()[:20])
    return list_views.answer(
        "oversight/models.html", listing, lambda models: pages.lines(ctx, models), pages.EXPORT, form=form, states=named(CaseState)
    )


@blueprint.get("/<uuid:model_id>")
@operation("model.view")
def show(model_id: UUID) -> str:
    """Show a model with its certificates and applications."""
    ctx = context()
    return render_template("oversight/model.html", page=pages.model_page(ctx, cases.get_model(ctx, model_id)))


@blueprint.get("/<uuid:model_id>/ajukan")
@operation("model.apply")
def new(model_id: UUID) -> Response:
    """Show the form of an application."""
    return _application(model_id, Form.begun(kind=request.args.get("kind")))


@blueprint.post("/<uuid:model_id>/ajukan")
@operation("model.apply")
def apply(model_id: UUID) -> AnyResponse:
    """Apply to have a model tested or certified."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        given = upload("letter")
        data = form.model(CaseIn, lambda known: cases.case_faults(ctx, known, given))
        made = cases.apply(ctx, resources().files, model_id, data, given)
        return seen("model_pages.case", "applied", case_id=made.id)
    return _application(model_id, form)


@blueprint.get("/permohonan/<uuid:case_id>")
@operation("model.case.view")
def case(case_id: UUID) -> Response:
    """Show an application beside its letter and certificate."""
    return _case(case_id, Form.begun())


@blueprint.get("/permohonan/<uuid:case_id>/berkas/<name>")
@operation("model.case.view")
def file(case_id: UUID, name: str) -> Response:
    """Return the letter or the certificate of an application as a file."""
    found = cases.open_file(context(), resources().files, case_id, name)
    return paper(found.data, found.media_type, found.filename)


@blueprint.get("/permohonan/<uuid:case_id>/sertifikat")
@operation("model.case")
def certificate(case_id: UUID) -> Response:
    """Show the form of a certificate, filled in with the one recorded before."""
    stated = cases.get_case(context(), case_id).certificate
    return _certificate(case_id, Form.begun(**{name: getattr(stated, name) for name in CERTIFICATE}) if stated else Form.begun())


@blueprint.post("/permohonan/<uuid:case_id>/sertifikat")
@operation("model.case")
def record(case_id: UUID) -> AnyResponse:
    """Record the certificate that the testing or certifying body issued."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        settings, found, given = resources().settings, cases.get_case(ctx, case_id, Operation.MODEL_CASE), upload("certificate")
        stated = form.model(CertificateIn, lambda known: cases.certificate_faults(ctx, settings, found, known, given))
        cases.record_certificate(ctx, settings, resources().files, case_id, stated, given)
        return seen("model_pages.case", "certificate", case_id=case_id)
    return _certificate(case_id, form)


def _application(model_id: UUID, form: Form) -> Response:
    ctx = context()
    return form.again("oversight/case_new.html", model=cases.get_model(ctx, model_id), basis=resources().settings.legal_basis_tkdn)


def _case(case_id: UUID, form: Form) -> Response:
    ctx = context()
    return form.again("oversight/case.html", page=pages.case_page(ctx, cases.get_case(ctx, case_id)), allows=CASE.allows)


def _certificate(case_id: UUID, form: Form) -> Response:
    settings = resources().settings
    found = cases.get_case(context(), case_id)
    return form.again("oversight/certificate.html", case=found, least=settings.tkdn_min, basis=settings.legal_basis_tkdn)


def _named(ctx: Context, case_id: UUID) -> str:
    found = cases.get_case(ctx, case_id)
    return f"{cases.get_model(ctx, found.model_id).name} · {found.letter_number}"


REJECT = Question(
    _("Reject the application for good"),
    _("It ends here for good, and the manufacturer reads your note. For the model a new application is needed."),
    _named,
    "model_pages.case",
)
CANCEL = Question(
    _("Withdraw the application"),
    _("It ends here for good. For the model a new application is needed."),
    _named,
    "model_pages.case",
)
add_decisions(
    blueprint,
    "/permohonan/<uuid:case_id>",
    "case",
    _case,
    Decision("izinkan", "model.case", noted(cases.admit), "admitted"),
    Decision("sahkan", "model.certify", bound(cases.certify), "certified"),
    Decision("kembalikan", "model.return", noted(cases.send_back), "returned"),
    Decision("tolak", "model.return", noted(cases.reject), "rejected", question=REJECT),
    Decision("lapor", "model.case", noted(cases.report), "told"),
    Decision("batalkan", "model.apply", noted(cases.cancel), "cancelled", question=CANCEL),
)
