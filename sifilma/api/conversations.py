"""The conversation of each kind of object: its messages, a further one, and their attachments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from flask import Response
from pydantic import BaseModel, ConfigDict, Field

from sifilma.api.common import File, IdPath, JsonPart, ListQuery, Page, answer, blueprint, file_of, page_of, upload
from sifilma.conversation import service
from sifilma.conversation.schemas import MOST_ATTACHMENTS, MessageIn, MessageOut
from sifilma.conversation.serializers import message_out
from sifilma.documents.responses import attachment
from sifilma.resources import resources
from sifilma.web.operations import operation
from sifilma.web.requests import context

api = blueprint("conversations")
COLLECTIONS = {
    "personalisation_request": "personalisation-requests",
    "activation_request": "activation-requests",
    "handover": "handovers",
    "destruction": "destructions",
}


class MessageForm(BaseModel):
    """The parts of a message: JSON, and up to five attachments (PDF, JPEG or PNG)."""

    model_config = ConfigDict(extra="forbid")

    message: Annotated[MessageIn, JsonPart]
    attachments: list[File] = Field([], max_length=MOST_ATTACHMENTS)


class AttachmentPath(IdPath):
    """The id of an object, and that of an attachment in its conversation."""

    attachment_id: UUID


def _reading(kind: str) -> Callable[..., Response]:
    @operation("conversation.read")
    def show(path: IdPath, query: ListQuery) -> Response:
        select, key = service.list_messages(context(), kind, path.id)
        return page_of(select, key, query, lambda rows: map(message_out, rows))

    return show


def _writing(kind: str) -> Callable[..., Response]:
    @operation("conversation.write")
    def write(path: IdPath, form: MessageForm) -> Response:
        uploads = [given for file in form.attachments if (given := upload(file)) is not None]
        return answer(message_out(service.write(context(), resources().files, kind, path.id, form.message, uploads)), 201)

    return write


def _download(kind: str) -> Callable[..., Response]:
    @operation("conversation.read")
    def download(path: AttachmentPath) -> Response:
        given = service.open_attachment(context(), resources().files, kind, path.id, path.attachment_id)
        return attachment(given.data, given.media_type, given.filename)

    return download


for _kind, _collection in COLLECTIONS.items():
    _path = f"/{_collection}/<uuid:id>/messages"
    api.get(_path, responses={200: Page[MessageOut]}, summary="The conversation, newest first", endpoint=f"{_kind}_messages")(
        _reading(_kind)
    )
    api.post(_path, responses={201: MessageOut}, summary="Send a message with attachments", endpoint=f"{_kind}_write")(_writing(_kind))
    api.get(
        f"{_path}/attachments/<uuid:attachment_id>",
        responses={200: file_of("application/pdf", "image/jpeg", "image/png")},
        summary="An attachment of a message",
        endpoint=f"{_kind}_attachment",
    )(_download(_kind))
