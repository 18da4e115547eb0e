"""Many manifests as one ZIP on the web: of an activation request, of a job, or of the list as it is filtered."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response
from sqlalchemy import Select

from sifilma.activation.archives import pages, queries, service
from sifilma.activation.manifests.views import listed
from sifilma.activation.models import Manifest
from sifilma.documents.responses import streamed_attachment
from sifilma.kernel.errors import NotFound
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.requests import context

blueprint = Blueprint("archive_pages", __name__, url_prefix="/manifest/arsip", template_folder="../templates")


@blueprint.post("")
@operation("manifest.body", reads_first=True, idempotent=False)
def fetch() -> Response:
    """Return the ZIP. Each download is recorded."""
    ctx = context()
    archive = service.prepare(ctx, resources().hsm, _wanted(Form.sent()))
    return streamed_attachment(pages.parts(ctx, resources().settings, archive), pages.ZIP, pages.filename(ctx))


def _wanted(form: Form) -> Select[Manifest]:
    """Return the query that the form names: `permohonan`, `pekerjaan`, or the filters of the list."""
    if form.get("permohonan"):
        return queries.of_request_query(context(), _key(form.get("permohonan")))
    if form.get("pekerjaan"):
        return queries.of_job_query(context(), _key(form.get("pekerjaan")))
    query, _ = listed(form)
    return query


def _key(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound() from None
