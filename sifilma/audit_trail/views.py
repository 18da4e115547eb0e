"""The audit trail on the web: filtered, paged, exported; one entry with its facts; verification of the log."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sifilma.activation.trust import keyset
from sifilma.audit import checkpoints, verification
from sifilma.audit.store import log_size
from sifilma.audit_trail import pages as audit_pages
from sifilma.audit_trail import queries as audit_queries
from sifilma.audit_trail.labels import ACTIONS
from sifilma.audit_trail.queries import Wanted
from sifilma.documents import list_views
from sifilma.documents.indonesian import zone_of
from sifilma.kernel.context import Context
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.requests import context

# As many of the newest entries as one request can verify in time. `sifilma audit verify` checks all.
VERIFIED = 10_000
blueprint = Blueprint("audit_pages", __name__, url_prefix="/jejak", template_folder="templates")


@blueprint.get("")
@operation("audit.read")
def index() -> AnyResponse:
    """List the entries, newest first. A download is redirected to `export`, which needs another operation."""
    if "unduh" in request.args:
        return redirect(f"{url_for('audit_pages.export')}?{request.query_string.decode(errors='replace')}", 303)
    return _list(context(), Form(request.args))


@blueprint.get("/unduh")
@operation("audit.export")
def export() -> Response:
    """Return the list as a file."""
    form = Form(request.args)
    ctx = context()
    listing = audit_queries.list_entries(ctx, _wanted(ctx, form))
    return list_views.answer(
        "audit_trail/audit.html", listing, lambda found: audit_pages.lines(ctx, found), audit_pages.EXPORT, **_shown(form)
    )


@blueprint.get("/<uuid:entry_id>")
@operation("audit.read")
def show(entry_id: UUID) -> str:
    """Show one entry, with the proof of its place in the log."""
    ctx = context()
    [line] = audit_pages.lines(ctx, [audit_queries.get_entry(ctx, entry_id)])
    proven = audit_pages.proven(ctx, line.seq)
    return render_template("audit_trail/entry.html", line=line, proven=proven, needs=audit_pages.NEEDS)


@blueprint.get("/periksa")
@operation("audit.verify")
def verification_page() -> str:
    """Show what of the log can be verified. Reading 10,000 entries is asked for by a button, not by whatever follows links."""
    session = context().session
    size, signed = log_size(session), session.scalar(checkpoints.newest_moment_query().limit(1))
    return render_template("audit_trail/verification.html", report=None, size=size, signed=signed, newest=VERIFIED)


@blueprint.post("/periksa")
@operation("audit.verify", reads_first=True, idempotent=False)
def verify() -> str:
    """Verify the newest entries against the log, and the log against its checkpoints. Nothing is written."""
    ctx, settings = context(), resources().settings
    report = verification.verify(ctx, keyset.load(settings).keys("audit"), checkpoints.kept_note(settings), VERIFIED)
    # `verify` ended the read; rendering the page reads again.
    ctx.uow.begin_read()
    return render_template("audit_trail/verification.html", report=report, newest=VERIFIED)


def _list(ctx: Context, form: Form) -> Response:
    wanted = Wanted()
    with form.attempt(ctx):
        wanted = _wanted(ctx, form)
    listing = audit_queries.list_entries(ctx, wanted)
    return list_views.answer(
        "audit_trail/audit.html", listing, lambda found: audit_pages.lines(ctx, found), audit_pages.EXPORT, **_shown(form)
    )


def _shown(form: Form) -> dict[str, Any]:
    return {"form": form, "actions": sorted(((name, str(text)) for name, text in ACTIONS.items()), key=lambda pair: pair[1])}


def _wanted(ctx: Context, form: Form) -> Wanted:
    zone = zone_of(ctx.actor.region_code)
    first, last = form.day("dari"), form.day("sampai")
    return Wanted(
        object_id=form.get("objek").strip()[:64],
        action=form.get("tindakan") if form.get("tindakan") in ACTIONS else "",
        organisation=form.get("organisasi").strip()[:100],
        username=form.get("pengguna").strip()[:60],
        since=datetime.combine(first, time(), zone) if first else None,
        until=datetime.combine(last + timedelta(days=1), time(), zone) if last else None,
    )
