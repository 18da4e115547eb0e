"""Reviews of who may what, with what was decided of each account, and the marks of accounts that nobody uses."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7

_OPEN = text("closed_at IS NULL")


class Outcome(StrEnum):
    """What a review decided of an account. Lapsed: nobody decided in time."""

    CONFIRMED = "confirmed"
    ENDED = "ended"
    LAPSED = "lapsed"


class AccessReview(Base):
    """One review of the accounts of an organisation, opened by time.

    It should be done by `due_at`. At `ends_at` what nobody decided lapses, and the review is closed. An organisation has one open review.
    """

    __tablename__ = "access_review"
    __table_args__ = (
        Index("uq_access_review_open", "organisation_id", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index(None, "organisation_id", "opened_at"),
        CheckConstraint("opened_at < due_at AND due_at <= ends_at", name="times"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AccessReviewLine(Base):
    """An account in a review. `roles` are those that were confirmed or ended, sorted, separated by spaces. `act_id` is the entry."""

    __tablename__ = "access_review_line"
    __table_args__ = (
        UniqueConstraint("review_id", "user_id"),
        CheckConstraint("outcome IN ('confirmed', 'ended', 'lapsed')", name="outcome"),
        CheckConstraint("(outcome IS NULL) = (act_id IS NULL) AND (outcome IS NULL) = (decided_at IS NULL)", name="decided"),
        CheckConstraint("(outcome IN ('confirmed', 'ended')) = (decided_by_person IS NOT NULL)", name="person"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    review_id: Mapped[UUID] = mapped_column(ForeignKey("access_review.id"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    roles: Mapped[str] = mapped_column(String(100), default="")
    outcome: Mapped[str | None] = mapped_column(String(10))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    act_id: Mapped[UUID | None] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))


class DormantMark(Base):
    """An account that nobody has signed in to for long. It goes with the next sign-in, and with the account being enabled again."""

    __tablename__ = "dormant_mark"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), primary_key=True)
    marked_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    act_id: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))


triggers.immutable("access_review", "id", "organisation_id", "opened_at", "due_at", "ends_at")
triggers.guard(
    "access_review_closed",
    "access_review",
    "UPDATE",
    "OLD.closed_at IS NOT NULL OR EXISTS (SELECT 1 FROM access_review_line l WHERE l.review_id = NEW.id AND l.outcome IS NULL)",
    "access_review: closed once, when each account is decided",
)
triggers.immutable("access_review_line", "id", "review_id", "user_id")
triggers.guard("access_review_line_once", "access_review_line", "UPDATE", "OLD.outcome IS NOT NULL", "access_review_line: decided once")
for _event in ("INSERT", "UPDATE"):
    triggers.guard(
        f"access_review_line_not_own_{_event.lower()}",
        "access_review_line",
        _event,
        "EXISTS (SELECT 1 FROM user_account u WHERE u.id = NEW.user_id AND u.person_id = NEW.decided_by_person)",
        "access_review_line: nobody confirms themselves",
    )
