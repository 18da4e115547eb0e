"""Many manifests as one ZIP on the web: of an activation request, of a job, or of the list as it is filtered."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint
from werkzeug.wrappers import Response as AnyResponse

from sifilma.activation.archives import packing, pages, queries, service
from sifilma.activation.models import Manifest
from sifilma.documents.responses import streamed_attachment
from sifilma.kernel import paging
from sifilma.kernel.errors import NotFound
from sifilma.own_files import service as own_files
from sifilma.resources import resources
from sifilma.web import languages
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("archive_pages", __name__, url_prefix="/manifest/arsip", template_folder="../templates")


@blueprint.post("")
@operation("manifest.body", reads_first=True, idempotent=False)
def fetch() -> AnyResponse:
    """Return the ZIP, in which each manifest is recorded as downloaded; of many have the worker write it, and show how far it is."""
    ctx, wanted = context(), _wanted(Form.sent())
    manifests = queries.wanted_query(ctx, wanted)
    if is_long(manifests):
        ctx.uow.begin_write()
        file = own_files.ask(ctx, packing.asked_for(wanted, languages.current()))
        return seen("own_file_pages.show", "file_asked", file_id=file.id)
    archive = service.prepare(ctx, resources().hsm, manifests)
    return streamed_attachment(pages.parts(ctx, resources().settings, archive), pages.ZIP, pages.filename(ctx))


def is_long(manifests: Any) -> bool:
    """Return whether a query gives more manifests than are sent at once."""
    direct, ctx = resources().settings.direct_manifests, context()
    return paging.count(ctx.session, (service.given_out_query(ctx, manifests), Manifest.id), direct) > direct


def _wanted(form: Form) -> dict[str, Any]:
    """Return what the form names: `permohonan`, `pekerjaan`, or the filters of the list."""
    if form.get("permohonan"):
        return {"activation_request": _key(form.get("permohonan"))}
    if form.get("pekerjaan"):
        return {"job": _key(form.get("pekerjaan"))}
    return {"uid": form.get("uid").strip()[:40], "state": form.get("state")[:20], "soon": "1" if form.get("soon") else ""}


def _key(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise NotFound() from None
