"""Failed requests on the web: what became of the request whose number somebody reads out to an operator."""

from __future__ import annotations

from flask import Blueprint, Response, request

from sifilma.audit_trail import pages as audit_pages
from sifilma.audit_trail import queries as audit_queries
from sifilma.documents import list_views
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.requests import context

blueprint = Blueprint("failure_pages", __name__, url_prefix="/kejadian", template_folder="templates")


@blueprint.get("")
@operation("failure.see")
def index() -> Response:
    """List the failed requests, newest first, by number or user name."""
    ctx, form = context(), Form(request.args)
    listing = audit_queries.list_failures(ctx, form.get("kode").strip()[:64], form.get("pengguna").strip()[:60])
    return list_views.answer(
        "audit_trail/failures.html",
        listing,
        lambda found: audit_pages.failure_lines(ctx, found),
        audit_pages.FAILURES,
        form=form,
    )
