"""Write a message about a request, BAST or destruction, and hand out its attachments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sifilma.approvals.file_access import HandedOut, hand_out
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.conversation.models import ConversationAttachment, ConversationMessage
from sifilma.conversation.queries import PARTIES, get_attachment, get_object, messages_query
from sifilma.conversation.schemas import MOST_ATTACHMENTS, MessageIn
from sifilma.documents.models import Document
from sifilma.documents.service import Upload, keep_attachment
from sifilma.identity.permissions import Operation
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Listing
from sifilma.kernel.text import say

Written = Callable[[Context, Any, ConversationMessage], None]
_hooks: list[Written] = []


def on_written(hook: Written) -> None:
    """Have `hook` called with the object and the message, in the transaction of each message. Attaching it twice has no effect."""
    if hook not in _hooks:
        _hooks.append(hook)


def list_messages(ctx: Context, kind: str, object_id: UUID) -> Listing[ConversationMessage]:
    """Return the messages about an object. Raise NotFound if the actor takes no part in its conversation."""
    get_object(ctx, kind, object_id)
    return messages_query(kind, object_id), ConversationMessage.id


def write(ctx: Context, store: FileStore, kind: str, object_id: UUID, data: MessageIn, uploads: Sequence[Upload]) -> ConversationMessage:
    """Send a message with up to five attachments. It changes nothing about the object, and no approval binds it.

    Raise NotFound if the actor takes no part in the conversation, and Invalid for an attachment that is no PDF, JPEG or PNG, or unsafe.
    """
    found = get_object(ctx, kind, object_id, Operation.CONVERSATION_WRITE)
    if len(uploads) > MOST_ATTACHMENTS:
        raise Invalid.field("attachments", say("At most %(most)s attachments go with a message.", most=MOST_ATTACHMENTS))
    kept = [keep_attachment(ctx, store, upload, "attachments") for upload in uploads]
    return _send(ctx, kind, found, data, kept)


def _send(ctx: Context, kind: str, found: Any, data: MessageIn, kept: Sequence[Document]) -> ConversationMessage:
    files = [document.sha256 for document in kept]
    message = ConversationMessage(
        id=uuid7(),
        object_kind=kind,
        object_id=found.id,
        organisation_id=ctx.actor.organisation_id,
        person_id=ctx.actor.person_id,
        user_id=ctx.actor.user_id,
        at=ctx.now,
        body=data.body,
        files=" ".join(files),
    )
    # The text stands in the record as a salted digest only: it may hold personal data.
    concerned = PARTIES[kind].of(found)[0]
    record(ctx, Action.CONVERSATION_WRITE, kind, found.id, organisation_id=concerned, rows=[message], message=str(message.id), files=files)
    ctx.session.add(message)
    ctx.session.flush()
    for position, document in enumerate(kept, start=1):
        ctx.session.add(ConversationAttachment(message_id=message.id, position=position, document_id=document.id))
    ctx.session.flush()
    ctx.session.refresh(message)
    for hook in _hooks:
        hook(ctx, found, message)
    return message


def open_attachment(ctx: Context, store: FileStore, kind: str, object_id: UUID, document_id: UUID) -> HandedOut:
    """Return an attachment and record that it was handed out. Raise NotFound if the actor takes no part, or there is none."""
    found = get_object(ctx, kind, object_id)
    document = get_attachment(ctx, kind, object_id, document_id)
    return hand_out(ctx, store, document.id, kind, object_id, PARTIES[kind].of(found)[0])
