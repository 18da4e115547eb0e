"""Messages of conversations, and their attachments. What was sent never changes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sifilma.audit.recorded import RecordedOnce, protect
from sifilma.documents.models import Document
from sifilma.identity.models import Organisation, Person
from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7

KINDS = ("personalisation_request", "activation_request", "handover", "destruction")
"""The kinds of objects that have a conversation, as life cycles name them."""


class ConversationMessage(RecordedOnce, Base):
    """One message about one object. `files` are the SHA-256 (hex) of its attachments in their order, joined by spaces."""

    __tablename__ = "conversation_message"
    __recorded__ = ("object_kind", "object_id", "organisation_id", "person_id", "user_id", "at", "body", "files")
    __table_args__ = (
        CheckConstraint(f"object_kind IN ({', '.join(repr(kind) for kind in KINDS)})", name="object_kind"),
        CheckConstraint("length(body) BETWEEN 1 AND 4000", name="body"),
        Index(None, "object_kind", "object_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    object_kind: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[UUID]
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    body: Mapped[str] = mapped_column(Text)
    files: Mapped[str] = mapped_column(Text, default="")

    organisation: Mapped[Organisation] = relationship(lazy="joined")
    person: Mapped[Person] = relationship(lazy="joined")
    attachments: Mapped[list[ConversationAttachment]] = relationship(order_by="ConversationAttachment.position", lazy="selectin")


class ConversationAttachment(Base):
    """One attachment of a message. `position` counts from 1."""

    __tablename__ = "conversation_attachment"

    message_id: Mapped[UUID] = mapped_column(ForeignKey("conversation_message.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[UUID] = mapped_column(ForeignKey("document.id"), index=True)

    document: Mapped[Document] = relationship(lazy="joined")


protect(ConversationMessage)
triggers.immutable("conversation_message")
triggers.immutable("conversation_attachment")
