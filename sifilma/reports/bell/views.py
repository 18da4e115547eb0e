"""The page behind the bell: what is new, each with its page; opening one, or a button, marks it as seen."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, redirect, request, url_for
from flask_babel import lazy_gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from sifilma.documents import list_views
from sifilma.documents.lists import Export
from sifilma.reports.bell import service
from sifilma.reports.bell.schemas import SeenIn
from sifilma.reports.bell.serializers import line
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("notice_pages", __name__, url_prefix="/pemberitahuan")
UNSEEN = "baru"
EXPORT = Export(
    "pemberitahuan",
    {
        _("Told"): lambda one: one.notice.at.isoformat(),
        _("What"): lambda one: one.words,
        _("About"): lambda one: one.title,
        _("Seen"): lambda one: one.notice.seen_at.isoformat() if one.notice.seen_at else "",
    },
    counted=lambda number, words: ngettext("%(count)s notice", "%(count)s notices", number, count=words),
    filters={UNSEEN: ""},
)


@blueprint.get("")
@operation("session.self")
def index() -> Response:
    """List the actor's notices, the newest first."""
    return _list(Form(request.args))


def _list(form: Form) -> Response:
    listing = service.list_notices(context(), unseen=bool(form.get(UNSEEN)))
    page = list_views.answer("reports/notices.html", listing, lambda found: map(line, found), EXPORT, form=form)
    page.status_code = form.status
    return page


@blueprint.post("/dibaca")
@operation("session.self")
def mark_seen() -> AnyResponse:
    """Mark as seen what the page shows and what is older. What came after it stays."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        service.mark_seen(ctx, form.model(SeenIn))
        return seen("notice_pages.index", "notices_seen")
    return _list(form)


@blueprint.post("/<uuid:notice_id>")
@operation("session.self")
def open_one(notice_id: UUID) -> AnyResponse:
    """Mark a notice as seen and lead to its page."""
    shown = line(service.open_notice(context(), notice_id))
    if shown.task is None:
        return seen("notice_pages.index")
    values = shown.task.values(shown.notice.object_id, shown.notice.title)
    return redirect(url_for(shown.task.endpoint, _anchor=shown.task.anchor or None, **values), 303)
