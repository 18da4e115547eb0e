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


class SendFailed(Exception):
    """The message was not sent. `for_good` means that no later attempt can help (a refused address). The text holds no secret."""

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


class Sender(Protocol):
    """Hands one message to a server outside, within a time limit of its own."""

    def send(self, letter: Letter) -> str:
        """Send the message and return the receiver's reference of it, which may be empty. Raise SendFailed."""
        ...
