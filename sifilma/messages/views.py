"""Messages on the web: what was sent, what was not and why, and sending again."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from sifilma.documents import list_views
from sifilma.messages import service as messages
from sifilma.messages.pages import CHANNELS, EXPORT, PURPOSES, lines
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("message_pages", __name__, url_prefix="/pesan", template_folder="templates")


@blueprint.get("")
@operation("messages.see")
def index() -> Response:
    """List the messages to people whose accounts the actor administers."""
    return _list(Form(request.args))


def _list(form: Form) -> Response:
    ctx = context()
    listing = messages.list_messages(ctx, form.get("nama").strip()[:60], form.get("state"), form.get("saluran"), form.get("jenis"))
    page = list_views.answer(
        "messages/messages.html",
        listing,
        lambda found: lines(ctx, found),
        EXPORT,
        form=form,
        fates=messages.FATES,
        channels=CHANNELS,
        purposes=PURPOSES,
    )
    page.status_code = form.status
    return page


@blueprint.post("/<uuid:message_id>/ulang")
@operation("messages.send", idempotent=False)
def send_again(message_id: UUID) -> AnyResponse:
    """Queue a message again whose delivery was given up."""
    ctx, form = context(), Form.sent()
    with form.attempt(ctx):
        messages.send_again(ctx, message_id)
        return seen("message_pages.index", "queued")
    return _list(form)
