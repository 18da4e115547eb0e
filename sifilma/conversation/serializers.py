"""Convert messages of conversations to the schemas of the API."""

from __future__ import annotations

from sifilma.conversation.models import ConversationMessage
from sifilma.conversation.schemas import AttachmentOut, MessageOut


def message_out(message: ConversationMessage) -> MessageOut:
    """Return a message with its attachments."""
    return MessageOut(
        id=message.id,
        at=message.at,
        author=message.person.name,
        organisation=message.organisation.name,
        body=message.body,
        attachments=[
            AttachmentOut(
                id=one.document.id,
                filename=one.document.filename,
                sha256=one.document.sha256,
                size=one.document.size,
                media_type=one.document.media_type,
            )
            for one in message.attachments
        ],
    )
