"""Agreements (PKS)."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7


class Agreement(Base):
    """An institution's right to use readers, from and until a day (both included)."""

    __tablename__ = "agreement"
    __table_args__ = (UniqueConstraint("organisation_id", "number"), CheckConstraint("valid_from <= valid_until", name="dates"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), index=True)
    number: Mapped[str] = mapped_column(String(100))
    valid_from: Mapped[date]
    valid_until: Mapped[date]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


triggers.immutable("agreement", "organisation_id", "number", "valid_from", "valid_until")
