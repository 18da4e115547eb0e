"""Activation by file on the web: the sheet to fill in, its upload, and the failed rows with their tokens."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from sifilma.activation.bulk import job as bulk
from sifilma.activation.bulk import job_sheets
from sifilma.activation.requests import form_choices
from sifilma.documents import lists
from sifilma.documents.forms import upload
from sifilma.jobs import service
from sifilma.regions.service import cascade
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context
from sifilma.web.texts import translate

blueprint = Blueprint("bulk_pages", __name__, url_prefix="/aktivasi/berkas", template_folder="../templates")


@blueprint.get("")
@operation("activation_request.submit")
def form() -> Response:
    """Show the sheet and the upload. It needs only the permission to request activations; the upload needs a fresh code."""
    form = Form.begun()
    return _form(form if form.values else Form(request.args))


@blueprint.post("")
@operation("activate", reads_first=True)
def begin() -> AnyResponse:
    """Queue a job for the uploaded file."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        job = bulk.begin(ctx, resources().settings, resources().hsm, upload("file"))
        return seen("job_pages.show", "taken_in", job_id=job.id)
    return _form(form)


@blueprint.get("/templat.<kind>")
@operation("activation_request.submit")
def template(kind: str) -> Response:
    """Return the table with the cards that can be activated, without their tokens."""
    return lists.form_table(kind, _("activation"), job_sheets.template(context(), region=request.args.get("wilayah", "")), translate)


@blueprint.post("/templat")
@operation("token.reveal", reads_first=True, idempotent=False)
def template_with_tokens() -> Response:
    """Return the same table with the tokens. This is recorded."""
    table = job_sheets.template_with_tokens(context(), resources().hsm, request.form.get("wilayah", ""))
    return lists.form_table(request.form.get("kind", "xlsx"), _("activation"), table, translate)


@blueprint.post("/<uuid:job_id>/perbaikan")
@operation("token.reveal", reads_first=True, idempotent=False)
def corrected(job_id: UUID) -> Response:
    """Return the failed rows with their tokens, to be corrected and uploaded again. This is recorded."""
    ctx = context()
    job = service.get_job(ctx, job_id)
    table = job_sheets.corrected_with_tokens(ctx, resources().settings, resources().hsm, job, translate)
    return lists.form_table(request.form.get("kind", "xlsx"), f"{_('corrections')} {job.stem}", table, translate)


def _form(form: Form) -> Response:
    ctx = context()
    provinces = [] if ctx.actor.region_code else cascade(ctx.session, "").provinces
    cards = form_choices.count_open(ctx)
    return form.again("activation/bulk.html", cards=cards, columns=job_sheets.ACTIVATIONS, provinces=provinces)
