"""What was told or is to be told to the witness, up to where numbers may leave, and the restored databases that were reconciled with it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7

_UNTOLD = text("told_at IS NULL")


class ReservedNumber(Base):
    """A counter: numbers up to `reserved` are reserved, those up to `told` may leave, since the witness knows this end.

    `noted` is how many were given out at `noted_at`, and `noted_before` a day or more earlier: today's pace follows from them.
    """

    __tablename__ = "reserved_number"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    reserved: Mapped[int] = mapped_column(BigInteger)
    told: Mapped[int] = mapped_column(BigInteger, default=0)
    noted: Mapped[int] = mapped_column(BigInteger, default=0)
    noted_at: Mapped[datetime] = mapped_column(UtcDateTime)
    noted_before: Mapped[int] = mapped_column(BigInteger, default=0)
    noted_before_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WitnessStatement(Base):
    """A statement, written with what it tells and before the witness gets it: the witness never knows more than the newest row.

    `content` is forgotten once it was told; `sha256` stays. `subject` and `value` say what it is about: counter and end, list and sequence.
    """

    __tablename__ = "witness_statement"
    __table_args__ = (
        Index("ix_witness_statement_untold", "number", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
        Index("ix_witness_statement_subject", "kind", "subject", "value"),
    )

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(String(60))
    value: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    content: Mapped[bytes | None] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Step(StrEnum):
    """How far a reconciliation is. Each is done in a transaction of its own, so what was broken off goes on from here."""

    WANTED = "wanted"
    COUNTERS = "counters"
    KEYSET = "keyset"
    LISTS = "lists"
    AUTHORITY = "authority"
    REVOCATIONS = "revocations"
    QUESTIONS = "questions"
    DONE = "done"


class Reconciliation(Base):
    """A restored database that is, or was, reconciled with the witness. `step` is the last that was done.

    `own` is how many statements the restored database had written, `statements` how many the witness had. `log_name` is the origin of the
    transparency log from here on: the log of before ended with entries that this database does not have.
    """

    __tablename__ = "reconciliation"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    step: Mapped[str] = mapped_column(String(20))
    begun_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    own: Mapped[int] = mapped_column(BigInteger, default=0)
    statements: Mapped[int] = mapped_column(BigInteger, default=0)
    epoch: Mapped[int] = mapped_column(Integer, default=0)
    log_name: Mapped[str] = mapped_column(Text, default="")


triggers.guard(
    "reserved_number_back", "reserved_number", "UPDATE", "NEW.reserved < OLD.reserved OR NEW.told < OLD.told",
    "reserved_number: what was reserved is never taken back",
)  # fmt: skip
triggers.guard("reserved_number_keep", "reserved_number", "DELETE", "", "reserved_number: nothing is deleted")
triggers.guard(
    "witness_statement_keep", "witness_statement", "DELETE", "OLD.told_at IS NOT NULL",
    "witness_statement: what was told is never taken back",
)  # fmt: skip
triggers.guard(
    "witness_statement_frozen", "witness_statement", "UPDATE",
    " OR ".join(f"(OLD.{c} IS DISTINCT FROM NEW.{c})" for c in ("number", "kind", "subject", "value", "sha256", "at")),
    "witness_statement: what was written does not change",
)  # fmt: skip
triggers.immutable("reconciliation", "id", "begun_at")
