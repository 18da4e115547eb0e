"""What pages show of messages: the masked receiver, the channel, the state and its reason. The text of a message is never shown."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import lazy_gettext as _
from flask_babel import ngettext

from sifilma.documents.lists import Export
from sifilma.identity.models import User
from sifilma.kernel.context import Context
from sifilma.messages import service as messages
from sifilma.notifications.contract import Channel, Fault
from sifilma.notifications.models import OutboxMessage
from sifilma.web.states import state

CHANNELS = {Channel.EMAIL.value: _("E-mail"), Channel.SMS.value: _("SMS")}
PURPOSES = {
    "code": _("One-time code"),
    "reminder": _("Reminder"),
    "notice": _("Notice"),
    "security": _("Notice about the account"),
    "witness": _("Checkpoint for the witness"),
}
# The sentence a page shows for each fault code that `sifilma/notifications` stores.
REASONS = {
    Fault.EXPIRED: _("It could not be sent in time."),
    Fault.CHANNEL_OFF: _("This channel is not switched on here."),
    Fault.UNSENDABLE: _("No message can be made of this address and text."),
    Fault.KEY_CHANGED: _("The message cannot be opened: the secret key of this installation has changed."),
    Fault.MAIL_UNREACHABLE: _("The mail server cannot be reached."),
    Fault.MAIL_ADDRESS_REFUSED: _("The mail server does not accept this address."),
    Fault.MAIL_REFUSED: _("The mail server does not accept the message."),
    Fault.SMS_UNREACHABLE: _("The SMS centre cannot be reached."),
    Fault.SMS_REFUSED: _("The SMS centre does not accept this number or message."),
    Fault.SMS_PARTIAL: _("The SMS centre took only a part of the message."),
    Fault.GATEWAY_UNREACHABLE: _("The SMS gateway cannot be reached."),
    Fault.GATEWAY_REFUSED: _("The SMS gateway does not accept the message."),
}


@dataclass(frozen=True)
class MessageLine:
    """A message in a list. `again` is True if delivery was given up and the message can be queued again."""

    message: OutboxMessage
    user: User | None
    fate: str
    kind: str
    channel: str
    reason: str
    again: bool


def line(message: OutboxMessage, user: User | None) -> MessageLine:
    """Return a message for a list."""
    fate = messages.fate(message)
    kind, channel = str(PURPOSES.get(message.purpose, message.purpose)), str(CHANNELS[message.channel])
    again = fate in ("failed", "lapsed") and bool(message.sealed)
    return MessageLine(message, user, fate, kind, channel, reason(message.last_error), again)


def lines(ctx: Context, found: list[OutboxMessage]) -> list[MessageLine]:
    """Return messages for a list, with their receivers."""
    users = messages.receivers(ctx, found)
    return [line(message, users.get(message.user_id) if message.user_id else None) for message in found]


def reason(error: str) -> str:
    """Return in words why a message was not sent, by the fault code of `code: detail`. Text without a known code is returned unchanged."""
    code = error.partition(":")[0]
    return str(REASONS[Fault(code)]) if code in REASONS else error


EXPORT = Export(
    "pesan",
    {
        _("Written"): lambda line: line.message.created_at,
        _("To"): lambda line: line.message.shown_to,
        _("Name"): lambda line: line.user.person.name if line.user else "",
        _("Organisation"): lambda line: line.user.organisation.name if line.user else "",
        _("Channel"): lambda line: line.channel,
        _("Kind"): lambda line: line.kind,
        _("State"): lambda line: state(line.fate).name,
        _("Tries"): lambda line: line.message.tries,
        _("What went wrong"): lambda line: line.reason,
    },
    counted=lambda number, words: ngettext("%(count)s message", "%(count)s messages", number, count=words),
    filters={"nama": "", "state": "", "saluran": "", "jenis": ""},
)
