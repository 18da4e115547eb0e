"""The records of uploaded files. Their bytes lie in the file store under their SHA-256."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7


class DocumentKind(StrEnum):
    """The purpose of a file in the act it belongs to."""

    LETTER = "letter"
    PURCHASE_ORDER = "purchase_order"
    BATCH = "batch"
    PHOTO = "photo"
    CERTIFICATE = "certificate"


class Document(Base):
    """One uploaded file. `sha256` (hex) names its bytes in the file store. `filename` is cleaned and serves display only."""

    __tablename__ = "document"
    __table_args__ = (CheckConstraint("length(sha256) = 64", name="sha256"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    kind: Mapped[str] = mapped_column(String(20))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int] = mapped_column(Integer)
    media_type: Mapped[str] = mapped_column(String(100))
    filename: Mapped[str] = mapped_column(String(200))
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    uploaded_by: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


triggers.immutable("document")
