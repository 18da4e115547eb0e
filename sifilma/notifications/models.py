"""The outbox: a message is a row that the act's transaction writes. It is sent only after the commit."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import state_check


class Delivery(StrEnum):
    """What has become of a message so far."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    LAPSED = "lapsed"


CODE = "code"
"""The purpose of messages that hold a code. Their text is erased whatever becomes of them."""


UNSEEN = "seen_at IS NULL"


class OutboxMessage(Base):
    """One message to one person.

    Address and text are sealed (the text may be a code) and the text is wiped once it has left; what was given up keeps it, so that
    it can be sent again, unless it is a code. `lapses_at`: not sent after that. `taken_until`: a sender has it until then; if it dies,
    another takes over. `last_error`: why the last try failed, as `code: detail` (`contract.Fault`), or empty.
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


class Digest(Base):
    """The moment at which a person gets the next reminder. One conditional UPDATE moves it on, so only one worker writes to the person."""

    __tablename__ = "digest"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Reminder(Base):
    """One reminder of one thing. `occasion` is what made it due; a person is reminded once per occasion, whatever workers are started."""

    __tablename__ = "reminder"
    __table_args__ = (UniqueConstraint("user_id", "task", "object_id", "occasion"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID]
    task: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[UUID]
    occasion: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class Notice(Base):
    """What a person is told by the bell in the head of each page: a task of `reports/task_labels.py` about one object.

    `title` names the object as its line does. Of one task of one object a person has at most one notice that they have not seen, so what
    happens again meanwhile makes no second one.
    """

    __tablename__ = "notice"
    __table_args__ = (
        # Their number stands on every page, and is counted in this index alone.
        Index(
            "uq_notice_unseen", "user_id", "task", "object_id", "title", unique=True,
            sqlite_where=text(UNSEEN), postgresql_where=text(UNSEEN),
        ),
        Index(None, "user_id", "id"),
    )  # fmt: skip

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    task: Mapped[str] = mapped_column(String(60))
    object_id: Mapped[UUID]
    title: Mapped[str] = mapped_column(String(200), default="")
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


_TOLD = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in ("id", "user_id", "task", "object_id", "title", "at"))
triggers.guard(
    "notice_frozen", "notice", "UPDATE", f"{_TOLD} OR OLD.seen_at IS NOT NULL", "notice: what was told does not change, and is seen once"
)
triggers.guard("reminder_frozen", "reminder", "UPDATE", "", "reminder: what was recorded does not change")
