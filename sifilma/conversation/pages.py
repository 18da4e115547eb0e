"""What pages show of a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sifilma.conversation.models import ConversationMessage
from sifilma.conversation.queries import messages_query
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import may_reach
from sifilma.kernel import paging
from sifilma.kernel.context import Context

SHOWN = 20


@dataclass(frozen=True)
class Conversation:
    """A kind of object with a conversation: the beginning of its paths, and the page of the object."""

    kind: str
    path: str
    endpoint: str
    argument: str


CONVERSATIONS: Mapping[str, Conversation] = {
    one.kind: one
    for one in (
        Conversation("personalisation_request", "/personalisasi", "personalisation_pages.show", "request_id"),
        Conversation("activation_request", "/aktivasi", "activation_pages.show", "request_id"),
        Conversation("handover", "/bast", "handover_pages.show", "handover_id"),
        Conversation("destruction", "/pemusnahan", "destruction_pages.show", "destruction_id"),
    )
}


@dataclass(frozen=True)
class Page:
    """Up to SHOWN messages, oldest first; `earlier` is the cursor of those before them, None if there are none."""

    messages: list[ConversationMessage]
    earlier: str | None


def newest_messages(ctx: Context, kind: str, object_id: UUID, cursor: str | None = None) -> Page:
    """Return the newest messages about an object, or those before a cursor. The caller has checked that the actor takes part."""
    page = paging.page(ctx.session, messages_query(kind, object_id), ConversationMessage.id, limit=SHOWN, cursor=cursor)
    return Page(page.items[::-1], page.next)


def may_read(ctx: Context, parties: Sequence[UUID]) -> bool:
    """Return whether the actor takes part in a conversation of these parties with the directorate."""
    return any(may_reach(ctx.actor, Operation.CONVERSATION_READ, party) for party in parties)


def may_write(ctx: Context, parties: Sequence[UUID]) -> bool:
    """Return whether the actor may write in a conversation of these parties with the directorate."""
    return any(may_reach(ctx.actor, Operation.CONVERSATION_WRITE, party) for party in parties)
