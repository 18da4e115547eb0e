"""Write messages in the act's transaction, and send them after its commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, or_, select, update

from config.settings import Settings
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed
from sifilma.kernel.errors import Conflict, Unavailable
from sifilma.kernel.ids import uuid7
from sifilma.kernel.sealing import open_sealed, seal
from sifilma.kernel.timekeeping.moments import has_come
from sifilma.notifications.contract import Channel, Fault, Letter, Sender, SendFailed
from sifilma.notifications.models import CODE, Delivery, OutboxMessage

LEASE = timedelta(seconds=25)  # a sender that has not finished by then counts as dead: within 30 s another one goes on
LIFE = timedelta(days=2)
FIRST_WAIT = timedelta(seconds=5)  # doubled after each failed attempt
LONGEST_WAIT = timedelta(hours=1)
AT_ONCE = 20  # messages per round
GIVEN_UP = (Delivery.FAILED, Delivery.LAPSED)
log = structlog.get_logger()


@dataclass(frozen=True)
class Recipient:
    """The person to write to, with channel and address."""

    channel: Channel
    address: str
    user_id: UUID | None = None


def enqueue(
    ctx: Context, settings: Settings, to: Recipient, purpose: str, subject: str, text: str, *, lapse: timedelta = LIFE
) -> OutboxMessage:
    """Write a message into the outbox in the transaction of the act it reports."""
    message = written(settings, ctx.now, to, purpose, subject, text, lapse=lapse)
    ctx.session.add(message)
    ctx.session.flush()
    return message


def written(
    settings: Settings, at: datetime, to: Recipient, purpose: str, subject: str, text: str, *, lapse: timedelta = LIFE
) -> OutboxMessage:
    """Return a message that waits to be sent, for callers with a session but without a Context (transition hooks)."""
    message_id = uuid7()
    content = json.dumps({"to": to.address, "subject": subject, "text": text}).encode()
    return OutboxMessage(
        id=message_id,
        channel=to.channel,
        purpose=purpose,
        user_id=to.user_id,
        shown_to=masked(to.address),
        sealed=seal(settings, "outbox", message_id, content),
        state=Delivery.QUEUED,
        tries=0,
        created_at=at,
        due_at=at,
        lapses_at=at + lapse,
    )


def send_again(ctx: Context, message: OutboxMessage) -> None:
    """Queue a message that was given up. Raise Conflict if it was not given up or its text has been erased."""
    queued = ctx.session.execute(
        update(OutboxMessage)
        .where(OutboxMessage.id == message.id, OutboxMessage.state.in_(GIVEN_UP), OutboxMessage.sealed != b"")
        .values(state=Delivery.QUEUED, due_at=ctx.now, lapses_at=ctx.now + LIFE, done_at=None)
        .execution_options(synchronize_session=False)
    )
    if changed(queued) != 1:
        raise Conflict("Only a message that was given up is sent again, and never a code: its text is gone.", type="not-given-up")


def masked(address: str) -> str:
    """Return an address in the form that may be shown: `i•••h@contoh.go.id`, `+62••••••789`."""
    name, at, host = address.partition("@")
    if at:
        return f"{name[:1]}•••{name[-1:]}@{host}"[:60]
    return f"{address[:3]}••••••{address[-3:]}"[:60]


def due(ctx: Context) -> list[UUID]:
    """Return the ids of messages to be sent now, those due for longest first."""
    query = (
        select(OutboxMessage.id)
        .where(has_come(OutboxMessage.due_at, ctx.now, LONGEST_WAIT), _waiting(ctx))
        .order_by(OutboxMessage.due_at)
        .limit(AT_ONCE)
    )
    return list(ctx.session.scalars(query))


def _waiting(ctx: Context) -> ColumnElement[bool]:
    abandoned = (OutboxMessage.state == Delivery.SENDING) & has_come(OutboxMessage.taken_until, ctx.now, LEASE)
    return or_(OutboxMessage.state == Delivery.QUEUED, abandoned)


def take(ctx: Context, message_id: UUID) -> bool:
    """Take a message for this sender for LEASE. The conditional UPDATE lets only one sender take it."""
    taken = ctx.session.execute(
        update(OutboxMessage)
        .where(OutboxMessage.id == message_id, _waiting(ctx))
        .values(state=Delivery.SENDING, taken_until=ctx.now + LEASE, tries=OutboxMessage.tries + 1)
        .execution_options(synchronize_session=False)
    )
    return changed(taken) == 1


def send(ctx: Context, settings: Settings, senders: Mapping[Channel, Sender], message_id: UUID) -> Delivery:
    """Send one message that was taken, without a transaction meanwhile, and record the result.

    A mail server may take seconds. An open transaction would hold a connection, on SQLite the write lock, for that time. While the clock is
    not trusted nothing lapses: a message that is given up is lost.
    """
    message = ctx.session.get_one(OutboxMessage, message_id)
    ctx.uow.end_read()
    if message.lapses_at <= ctx.now and ctx.clock_finding is None:
        return _note(ctx, message, Delivery.LAPSED, error=Fault.EXPIRED)
    sender = senders.get(Channel(message.channel))
    if sender is None:
        return _note(ctx, message, Delivery.FAILED, error=Fault.CHANNEL_OFF)
    try:
        reference = _leave(settings, sender, message)
    except SendFailed as failed:
        log.warning("message not sent", message=str(message.id), channel=message.channel, reason=str(failed), tries=message.tries)
        return _note(ctx, message, Delivery.FAILED if failed.for_good else Delivery.QUEUED, error=str(failed))
    return _note(ctx, message, Delivery.SENT, reference=reference)


def _leave(settings: Settings, sender: Sender, message: OutboxMessage) -> str:
    """Hand one message to its sender. Raise SendFailed, for good if no message can be made of it (an address with a line break)."""
    try:
        content = json.loads(open_sealed(settings, "outbox", message.id, message.sealed))
        return sender.send(_marked(settings, message, Letter(str(message.id), content["to"], content["subject"], content["text"])))
    except ValueError as wrong:
        raise SendFailed(Fault.UNSENDABLE, type(wrong).__name__, for_good=True) from wrong
    except Unavailable as sealed:
        raise SendFailed(Fault.KEY_CHANGED) from sealed


def _marked(settings: Settings, message: OutboxMessage, letter: Letter) -> Letter:
    """Return the letter as an installation for practice sends it: it says so first. An SMS has no room for more than a word."""
    if not settings.mark:
        return letter
    if message.channel == Channel.SMS:
        return replace(letter, text=f"{settings.mark}: {letter.text}")
    return replace(letter, subject=f"[{settings.mark}] {letter.subject}", text=f"{settings.banner}\n\n{letter.text}")


def _note(ctx: Context, message: OutboxMessage, state: Delivery, *, error: str = "", reference: str = "") -> Delivery:
    """Record the result of an attempt. The text of a sent message is erased, and that of a code in any case.

    The condition on SENDING keeps a sender whose lease has run out from overwriting the result of the one that took over.
    """
    ctx.uow.begin_write()
    values: dict[str, object] = {"state": state, "last_error": error[:200], "reference": reference[:120], "taken_until": None}
    if state is Delivery.QUEUED:
        values["due_at"] = ctx.now + min(FIRST_WAIT * 2 ** (message.tries - 1), LONGEST_WAIT)
    else:
        values |= {"done_at": ctx.now} | ({"sealed": b""} if state is Delivery.SENT or message.purpose == CODE else {})
    ctx.session.execute(
        update(OutboxMessage)
        .where(OutboxMessage.id == message.id, OutboxMessage.state == Delivery.SENDING)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return state
