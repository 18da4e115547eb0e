"""What a sender must do, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Channel(StrEnum):
    """The ways to reach a person."""

    EMAIL = "email"
    SMS = "sms"


@dataclass(frozen=True)
class Letter:
    """One message to one person. `key` is the same at every attempt, so that a receiver can drop repetitions."""

    key: str
    to: str
    subject: str
    text: str


class Fault(StrEnum):
    """Why a message did not leave. The outbox stores the value and pages translate it, so a value never changes."""

    EXPIRED = "expired"
    CHANNEL_OFF = "channel-off"
    UNSENDABLE = "unsendable"
    KEY_CHANGED = "key-changed"
    MAIL_UNREACHABLE = "mail-unreachable"
    MAIL_ADDRESS_REFUSED = "mail-address-refused"
    MAIL_REFUSED = "mail-refused"
    SMS_UNREACHABLE = "sms-unreachable"
    SMS_REFUSED = "sms-refused"
    SMS_PARTIAL = "sms-partial"
    GATEWAY_UNREACHABLE = "gateway-unreachable"
    GATEWAY_REFUSED = "gateway-refused"


class SendFailed(Exception):
    """The message did not leave.

    `detail` is the receiver's status or the name of the exception and holds no secret. `for_good`: no later try can help (a refused
    address). As text it is `fault: detail`, or the fault alone.
    """

    def __init__(self, fault: Fault, detail: object = "", *, for_good: bool = False) -> None:
        super().__init__(f"{fault}: {detail}" if detail != "" else str(fault))
        self.fault = fault
        self.for_good = for_good


class Sender(Protocol):
    """Hands one message to a server outside, within a time limit of its own."""

    def send(self, letter: Letter) -> str:
        """Send the message and return the receiver's reference of it, which may be empty. Raise SendFailed."""
        ...
