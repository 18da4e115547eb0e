"""What the witness knows and a restored database does not: each is a question that a person answers."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, Json, UtcDateTime
from sifilma.kernel.ids import uuid7

_UNDECIDED = text("decision IS NULL")


class Decision(StrEnum):
    """The answer to a question: what was known only to the witness was entered again by hand, ended for good, or needs nothing."""

    ENTERED = "entered"
    REVOKED = "revoked"
    NOTHING = "nothing"


class OpenQuestion(Base):
    """A card, paper, request, person or manifest of which the witness knows acts that the database lacks. `told` is the newest of them."""

    __tablename__ = "open_question"
    __table_args__ = (
        CheckConstraint("(decision IS NULL) = (act_id IS NULL)", name="decided"),
        UniqueConstraint("reconciliation_id", "kind", "subject"),
        Index("ix_open_question_undecided", "id", sqlite_where=_UNDECIDED, postgresql_where=_UNDECIDED),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    reconciliation_id: Mapped[UUID] = mapped_column(ForeignKey("reconciliation.id"))
    kind: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(64))
    told: Mapped[dict[str, Any]] = mapped_column(Json)
    witnessed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decision: Mapped[str | None] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text, default="")
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    act_id: Mapped[UUID | None] = mapped_column(ForeignKey("audit_entry.id"))


triggers.immutable("open_question", "id", "reconciliation_id", "kind", "subject", "witnessed_at")
triggers.guard(
    "open_question_once", "open_question", "UPDATE", "OLD.decision IS NOT NULL", "open_question: a decision stays"
)  # fmt: skip
