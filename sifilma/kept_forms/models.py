"""The tables of forms that are not finished, of their files, and of forms that were sent. All three are deleted after KEEP."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Integer, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel.db import Base, UtcDateTime

KEEP = timedelta(days=7)
"""How long a form, its files and the note that it was sent are kept (`sifilma/app/retention.py`)."""


class KeptForm(Base):
    """The fields of a form as one account left it, sealed. Nobody else is ever shown them, and no act rests on them.

    `path` and `query` name the page that shows the form, `action` is where it is sent. `revision` counts the times it was saved.
    """

    __tablename__ = "kept_form"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    path: Mapped[str] = mapped_column(String(300))
    query: Mapped[str] = mapped_column(String(1000))
    action: Mapped[str] = mapped_column(String(300))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    revision: Mapped[int] = mapped_column(Integer)
    saved_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class KeptFile(Base):
    """A file that came with a form that was not accepted. `sha256` (hex) names its sealed bytes, a stored file, `size` counts its own.

    Sealing gives the same file other bytes each time, so no other row ever names them, and they are deleted with this one.
    """

    __tablename__ = "kept_file"
    __table_args__ = (CheckConstraint("length(sha256) = 64", name="sha256"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    filename: Mapped[str] = mapped_column(String(200))
    size: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(String(64))
    kept_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class SentForm(Base):
    """A form that was accepted: the id it was shown with, the MAC (hex) of what it said, and the page its sender was led to."""

    __tablename__ = "sent_form"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    mac: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    outcome: Mapped[str] = mapped_column(Text)
    sent_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
