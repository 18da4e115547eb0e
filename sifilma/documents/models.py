"""The records of uploaded files and of papers issued here, and their bytes: each content once, under its SHA-256, in parts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, LargeBinary, String
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


class StoredFile(Base):
    """Some bytes, whatever they are: their SHA-256 (hex), their number, and in how many parts they are stored."""

    __tablename__ = "stored_file"
    __table_args__ = (
        CheckConstraint("length(sha256) = 64", name="sha256"),
        CheckConstraint("size >= 0 AND parts >= 0", name="counts"),
    )

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(Integer)
    parts: Mapped[int] = mapped_column(Integer)


class StoredPart(Base):
    """A part of such bytes. `place` counts from 0. Nobody holds a file of any size in one value of the database."""

    __tablename__ = "stored_part"
    __table_args__ = (CheckConstraint("place >= 0", name="place"),)

    sha256: Mapped[str] = mapped_column(ForeignKey("stored_file.sha256"), primary_key=True)
    place: Mapped[int] = mapped_column(Integer, primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Document(Base):
    """One uploaded file or issued paper. `sha256` (hex) names its bytes, a StoredFile. `filename` is for display only."""

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
triggers.guard(
    "document_stored",
    "document",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM stored_file f WHERE f.sha256 = NEW.sha256 AND f.size = NEW.size)",
    "document: its bytes are stored before it",
)
for _table in ("stored_file", "stored_part"):
    triggers.guard(f"{_table}_frozen", _table, "UPDATE", "", f"{_table}: what was stored does not change")
    triggers.guard(
        f"{_table}_named",
        _table,
        "DELETE",
        "EXISTS (SELECT 1 FROM document d WHERE d.sha256 = OLD.sha256)",
        f"{_table}: a document names it",
    )
