"""Conversations on the web: on the page of each request, BAST and destruction, and on a page of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, Flask, Response, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from sifilma.conversation import service
from sifilma.conversation.pages import CONVERSATIONS, Conversation, Page, may_read, may_write, newest_messages
from sifilma.conversation.queries import parties_of
from sifilma.conversation.schemas import MOST_ATTACHMENTS, MessageIn
from sifilma.documents.forms import uploads
from sifilma.documents.responses import attachment
from sifilma.resources import resources
from sifilma.web.forms import Form
from sifilma.web.operations import operation
from sifilma.web.pages import seen
from sifilma.web.requests import context

blueprint = Blueprint("conversation_pages", __name__, template_folder="templates")


def register(app: Flask) -> None:
    """Give the templates `conversation(kind, id, *parties)`: the panel on the object's page."""
    app.jinja_env.globals.update(conversation=panel)


def panel(kind: str, key: UUID, *named: UUID | str) -> Markup:
    """Return the conversation about an object that is shown, whose parties these are; nothing for whoever takes no part in it."""
    parties = [UUID(str(party)) for party in named]  # some pages have ids as text, as the API does
    if not may_read(context(), parties):
        return Markup()
    page = newest_messages(context(), kind, key)
    return Markup(render_template("conversation/panel.html", form=Form(), **_shown(CONVERSATIONS[kind], key, page, parties)))  # noqa: S704  # a template


def _shown(talk: Conversation, key: UUID, page: Page, parties: Sequence[UUID]) -> dict[str, Any]:
    writes, limit = may_write(context(), parties), resources().settings.max_upload
    return {"talk": talk, "key": key, "page": page, "writes": writes, "most": MOST_ATTACHMENTS, "limit": limit}


def _add(talk: Conversation) -> None:
    def show(object_id: UUID) -> Response:
        return _page(object_id, Form())

    def write(object_id: UUID) -> AnyResponse:
        ctx, form = context(), Form.sent()
        with form.attempt(ctx):
            service.write(ctx, resources().files, talk.kind, object_id, form.model(MessageIn), uploads("attachments"))
            return seen(f"conversation_pages.{talk.kind}", "message", object_id=object_id)
        return _page(object_id, form)

    def download(object_id: UUID, document_id: UUID) -> Response:
        given = service.open_attachment(context(), resources().files, talk.kind, object_id, document_id)
        return attachment(given.data, given.media_type, given.filename)

    def _page(object_id: UUID, form: Form) -> Response:
        ctx = context()
        parties = parties_of(ctx, talk.kind, object_id)
        page = newest_messages(ctx, talk.kind, object_id, request.args.get("cursor"))
        values: dict[str, Any] = {talk.argument: object_id}
        back = url_for(talk.endpoint, **values)
        return form.again("conversation/conversation.html", back=back, **_shown(talk, object_id, page, parties))

    path = f"{talk.path}/<uuid:object_id>/percakapan"
    _route(path, talk.kind, "GET", "conversation.read", show)
    _route(path, f"{talk.kind}_write", "POST", "conversation.write", write)
    _route(f"{path}/lampiran/<uuid:document_id>", f"{talk.kind}_attachment", "GET", "conversation.read", download)


def _route(path: str, endpoint: str, method: str, name: str, view: Callable[..., AnyResponse]) -> None:
    blueprint.add_url_rule(path, endpoint, operation(name)(view), methods=[method])


for _talk in CONVERSATIONS.values():
    _add(_talk)
