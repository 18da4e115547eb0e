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
from sifilma.jobs.failed_rows import Sheet
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
    return _form(Form())


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
    """Return the sheet with the cards that can be activated, without their tokens."""
    return _table(kind, _("activation"), job_sheets.template(context()))


@blueprint.post("/templat")
@operation("token.reveal", reads_first=True, idempotent=False)
def template_with_tokens() -> Response:
    """Return the same sheet with the tokens. This is recorded."""
    return _table(request.form.get("kind", "xlsx"), _("activation"), job_sheets.template_with_tokens(context(), resources().hsm))


@blueprint.post("/<uuid:job_id>/perbaikan")
@operation("token.reveal", reads_first=True, idempotent=False)
def corrected(job_id: UUID) -> Response:
    """Return the failed rows with their tokens, to be corrected and uploaded again. This is recorded."""
    ctx = context()
    job = service.get_job(ctx, job_id)
    sheet = job_sheets.corrected_with_tokens(ctx, resources().settings, resources().hsm, job, translate)
    return _table(request.form.get("kind", "xlsx"), f"{_('corrections')} {job.stem}", sheet)


def _table(kind: str, name: str, sheet: Sheet) -> Response:
    return lists.table(kind, name, sheet.header, sheet.rows)


def _form(form: Form) -> Response:
    cards = form_choices.open_cards(context())
    return form.again("activation/bulk.html", cards=len(cards), max_rows=resources().settings.bulk_max_rows)
