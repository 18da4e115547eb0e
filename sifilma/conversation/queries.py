"""Which conversations an actor sees: those of the objects that their organisation is a party of; the directorate sees all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select

from sifilma.activation.models import ActivationRequest
from sifilma.activation.queries import requests_at_outlets
from sifilma.conversation.models import ConversationAttachment, ConversationMessage
from sifilma.destruction.models import Destruction
from sifilma.documents.models import Document
from sifilma.handover.models import Handover
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import Actor
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.personalisation.models import PersonalisationRequest


@dataclass(frozen=True)
class Parties:
    """A kind of object, and its columns of the organisations that talk about it with the directorate.

    `limited` is the condition on it for people who are limited to outlets; without one they take no part.
    """

    model: type[Any]
    columns: tuple[Any, ...]
    limited: Callable[[Actor], ColumnElement[bool]] | None = None

    def of(self, found: Any) -> list[UUID]:
        """Return the parties of one object."""
        return [getattr(found, column.key) for column in self.columns]


PARTIES: Mapping[str, Parties] = {
    "personalisation_request": Parties(PersonalisationRequest, (PersonalisationRequest.requester_id,)),
    "activation_request": Parties(ActivationRequest, (ActivationRequest.organisation_id,), requests_at_outlets),
    "handover": Parties(Handover, (Handover.issuer_id, Handover.receiver_id)),
    "destruction": Parties(Destruction, (Destruction.organisation_id,)),
}


def get_object(ctx: Context, kind: str, object_id: UUID, operation: Operation = Operation.CONVERSATION_READ) -> Any:
    """Return the object of a conversation. Raise NotFound if the actor takes no part in it."""
    parties = PARTIES[kind]
    query = scoped(select(parties.model), ctx.actor, operation, parties.columns, unit=parties.limited).where(parties.model.id == object_id)
    found = ctx.session.scalars(query).first()
    if found is None:
        raise NotFound()
    return found


def parties_of(ctx: Context, kind: str, object_id: UUID) -> list[UUID]:
    """Return the organisations that talk about an object with the directorate. Raise NotFound if the actor takes no part."""
    return PARTIES[kind].of(get_object(ctx, kind, object_id))


def messages_query(kind: str, object_id: UUID) -> Select[ConversationMessage]:
    """Return a query of the messages about an object that the actor may see."""
    return select(ConversationMessage).where(ConversationMessage.object_kind == kind, ConversationMessage.object_id == object_id)


def get_attachment(ctx: Context, kind: str, object_id: UUID, document_id: UUID) -> Document:
    """Return an attachment by the id of its document. Raise NotFound if it is of no message about this object."""
    query = select(Document).join(ConversationAttachment, ConversationAttachment.document_id == Document.id)
    query = query.where(Document.id == document_id, ConversationAttachment.message_id.in_(
        select(ConversationMessage.id).where(ConversationMessage.object_kind == kind, ConversationMessage.object_id == object_id)
    ))  # fmt: skip
    found = ctx.session.scalars(query).first()
    if found is None:
        raise NotFound()
    return found
