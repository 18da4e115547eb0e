"""How messages to people fared, for those who help them, and queueing again what was given up. Nobody can read the texts."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import Person, User
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.paging import Listing
from sifilma.notifications import outbox
from sifilma.notifications.models import CODE, Delivery, OutboxMessage

M = OutboxMessage
FATES: dict[str, ColumnElement[bool]] = {
    "queued": M.state.in_((Delivery.QUEUED, Delivery.SENDING)) & (M.tries <= 1) & (M.last_error == ""),
    "retried": M.state.in_((Delivery.QUEUED, Delivery.SENDING)) & (M.last_error != ""),
    "sent": M.state == Delivery.SENT,
    "failed": M.state == Delivery.FAILED,
    "lapsed": M.state == Delivery.LAPSED,
}
"""The states shown on screens. A message that failed and is tried again is `retried`; one that waits for its first try is `queued`."""


def fate(message: OutboxMessage) -> str:
    """Return the key in FATES that describes the message."""
    if message.state in (Delivery.QUEUED, Delivery.SENDING):
        return "retried" if message.last_error else "queued"
    return message.state


def messages_query(ctx: Context, operation: Operation = Operation.MESSAGES_SEE) -> Select[OutboxMessage]:
    """Return a query of the messages to people whose accounts the actor administers."""
    query = select(M).outerjoin(User, User.id == M.user_id)
    return scoped(query, ctx.actor, operation, User.organisation_id)


def list_messages(ctx: Context, name: str = "", fate: str = "", channel: str = "", purpose: str = "") -> Listing[OutboxMessage]:
    """Return messages by a part of the receiver's name or user name, by key of FATES, by channel and by purpose; empty means any."""
    query = messages_query(ctx)
    if name:
        people = select(Person.id).where(Person.name.icontains(name, autoescape=True))
        query = query.where(or_(User.username.icontains(name, autoescape=True), User.person_id.in_(people)))
    if fate in FATES:
        query = query.where(FATES[fate])
    for column, wanted in ((M.channel, channel), (M.purpose, purpose)):
        query = query.where(column == wanted) if wanted else query
    return query, M.id


def receivers(ctx: Context, messages: Sequence[OutboxMessage]) -> dict[UUID, User]:
    """Return the accounts of the receivers by id, in one query."""
    ids = {message.user_id for message in messages if message.user_id}
    return {user.id: user for user in ctx.session.scalars(select(User).where(User.id.in_(ids)))} if ids else {}


def send_again(ctx: Context, message_id: UUID) -> OutboxMessage:
    """Queue a message again whose delivery was given up.

    Raise NotFound if there is none in the actor's scope, and Conflict if it cannot be sent again.
    """
    message = ctx.session.scalars(messages_query(ctx, Operation.MESSAGES_SEND).where(M.id == message_id)).first()
    if message is None:
        raise NotFound()
    outbox.send_again(ctx, message)
    owner = ctx.session.get(User, message.user_id) if message.user_id else None
    record(
        ctx,
        Action.MESSAGE_SEND_AGAIN,
        "message",
        message.id,
        organisation_id=owner.organisation_id if owner else None,
        channel=message.channel,
        purpose=message.purpose,
    )
    return message


def last_to(ctx: Context, user_id: UUID) -> list[OutboxMessage]:
    """Return the last one-time code and the last other message to a user, without those there are not."""
    mine = select(M).where(M.user_id == user_id).order_by(M.id.desc()).limit(1)
    found = (ctx.session.scalars(mine.where(kind)).first() for kind in (M.purpose == CODE, M.purpose != CODE))
    return [message for message in found if message is not None]
