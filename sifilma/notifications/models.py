"""The outbox: a message is a row of the act's own transaction, and leaves only after it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import state_check


class Delivery(StrEnum):
    """What became of a message so far."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    LAPSED = "lapsed"


class OutboxMessage(Base):
    """One message to one person.

    Address and text are sealed (the text may be a code) and the text is wiped once it has left or cannot any more. `lapses_at`: not
    sent after that. `taken_until`: a sender has it until then; if it dies, another takes over.
    """

    __tablename__ = "outbox_message"
    __table_args__ = (
        CheckConstraint(state_check(Delivery), name="state"),
        Index(None, "state", "due_at"),
        Index(None, "user_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    channel: Mapped[str] = mapped_column(String(10))
    purpose: Mapped[str] = mapped_column(String(40))
    user_id: Mapped[UUID | None]
    shown_to: Mapped[str] = mapped_column(String(60))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(10))
    tries: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lapses_at: Mapped[datetime] = mapped_column(UtcDateTime)
    taken_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reference: Mapped[str] = mapped_column(String(120), default="")
    last_error: Mapped[str] = mapped_column(String(200), default="")
