"""What visitors asked. No act rests on it, and it is gone after a week."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7

KEEP = timedelta(days=7)
"""For how long it is shown to those who can help, and kept."""


class LostAccess(Base):
    """A visitor says that they cannot sign in as `username`, as it was typed, in lower case; it may be anything.

    `user_id` is empty until the worker has found an account in use by that name. One account has one such row; what names none is deleted.
    """

    __tablename__ = "lost_access"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    username: Mapped[str] = mapped_column(String(60))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"), unique=True)
