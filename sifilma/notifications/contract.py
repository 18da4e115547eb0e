"""What a sender is, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Channel(StrEnum):
    """How somebody is reached."""

    EMAIL = "email"
    SMS = "sms"


@dataclass(frozen=True)
class Letter:
    """One message to one person. `key` is the same at every try: a receiver that knows it drops repetitions."""

    key: str
    to: str
    subject: str
    text: str


class SendFailed(Exception):
    """The message did not leave. `for_good`: no later try can help (a refused address); the words hold no secret."""

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


class Sender(Protocol):
    """Takes one message out of the house, within its own time limit."""

    def send(self, letter: Letter) -> str:
        """The receiver's reference of the message (may be empty). Raises SendFailed."""
        ...
