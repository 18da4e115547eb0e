"""The records of uploaded files and of papers issued here. Their bytes lie in the file store under their SHA-256."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7


class DocumentKind(StrEnum):
    """The purpose of a file in the act it belongs to. A PAPER is written by this system, the others are uploaded."""

    LETTER = "letter"
    PURCHASE_ORDER = "purchase_order"
    BATCH = "batch"
    PHOTO = "photo"
    CERTIFICATE = "certificate"
    AGREEMENT = "agreement"
    DECREE = "decree"
    ATTACHMENT = "attachment"
    PAPER = "paper"


class Document(Base):
    """One uploaded file or issued paper. `sha256` (hex) names its bytes in the file store. `filename` is for display only."""

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


class IssuedPaper(Base):
    """The paper of a handover, destruction or discrepancy, as it was issued: `document_id` is the PDF, which no later template changes.

    `template` is the template with its version (`bast/2`), `digest` the SHA-256 (hex) of what the paper states, as its QR code has it.
    """

    __tablename__ = "issued_paper"
    __table_args__ = (CheckConstraint("object_kind IN ('handover', 'destruction', 'discrepancy')", name="object_kind"),)

    object_kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    object_id: Mapped[UUID] = mapped_column(primary_key=True)
    document_id: Mapped[UUID] = mapped_column(ForeignKey("document.id"), unique=True)
    template: Mapped[str] = mapped_column(String(40))
    digest: Mapped[str] = mapped_column(String(64))

    document: Mapped[Document] = relationship(lazy="joined")


triggers.immutable("document")
triggers.immutable("issued_paper")
