"""Orders to issue manifests anew with the same binding, and the cards they are for."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7

_GOING = "ended_at IS NULL"
_WAITING = "outcome = 'waiting'"


class Outcome(StrEnum):
    """What became of a card of an order."""

    WAITING = "waiting"
    CARRIED = "carried"
    PASSED_OVER = "passed_over"


class Reissue(Base):
    """An order of two custodians to issue anew every manifest in force that one key signed.

    `label` and `kid` name the key; `cause` says why: it was compromised, or another takes its place. `total` cards are named when the order
    is given. `act_id` is the entry of the first custodian; the tokens of the order belong to that act.
    """

    __tablename__ = "reissue"
    __table_args__ = (
        CheckConstraint("cause IN ('compromised', 'replaced')", name="cause"),
        CheckConstraint("total >= 0", name="total"),
        Index("ix_reissue_going", "id", sqlite_where=text(_GOING), postgresql_where=text(_GOING)),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    kid: Mapped[str] = mapped_column(String(43))
    label: Mapped[str] = mapped_column(String(40))
    cause: Mapped[str] = mapped_column(String(12))
    total: Mapped[int]
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    act_id: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))


class ReissueCard(Base):
    """One card of an order: the manifest it had, and the one that took its place (`carried`) or why there is none (`passed_over`)."""

    __tablename__ = "reissue_card"
    __table_args__ = (
        CheckConstraint("outcome IN ('waiting', 'carried', 'passed_over')", name="outcome"),
        CheckConstraint("(outcome = 'carried') = (new_manifest_id IS NOT NULL)", name="carried"),
        CheckConstraint("(outcome = 'passed_over') = (reason <> '')", name="reason"),
        UniqueConstraint("reissue_id", "card_id"),
        UniqueConstraint("new_manifest_id"),
        Index(None, "organisation_id", "manifest_id"),
        Index("ix_reissue_card_waiting", "reissue_id", "manifest_id", sqlite_where=text(_WAITING), postgresql_where=text(_WAITING)),
        Index(None, "manifest_id"),
        Index(None, "card_id"),
    )

    reissue_id: Mapped[UUID] = mapped_column(ForeignKey("reissue.id"), primary_key=True)
    manifest_id: Mapped[UUID] = mapped_column(ForeignKey("manifest.id"), primary_key=True)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"))
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    outcome: Mapped[str] = mapped_column(String(12), default=Outcome.WAITING.value)
    reason: Mapped[str] = mapped_column(Text, default="")
    new_manifest_id: Mapped[UUID | None] = mapped_column(ForeignKey("manifest.id"))


triggers.immutable("reissue", "id", "kid", "label", "cause", "total", "began_at", "act_id")
triggers.guard(
    "reissue_ordered",
    "reissue",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM audit_entry e WHERE e.id = NEW.act_id AND e.action IN ('keys.compromise', 'keys.reissue'))",
    "reissue: ordered by custodians only",
)
triggers.guard(
    "reissue_ends_once",
    "reissue",
    "UPDATE",
    "OLD.ended_at IS NOT NULL OR (NEW.ended_at IS NOT NULL"
    " AND EXISTS (SELECT 1 FROM reissue_card k WHERE k.reissue_id = NEW.id AND k.outcome = 'waiting'))",
    "reissue: ends once, when no card waits",
)
triggers.immutable("reissue_card", "reissue_id", "card_id", "organisation_id", "manifest_id")
triggers.guard(
    "reissue_card_signed",
    "reissue_card",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM reissue r JOIN manifest m ON m.kid = r.kid WHERE r.id = NEW.reissue_id AND r.ended_at IS NULL"
    " AND m.id = NEW.manifest_id AND m.card_id = NEW.card_id AND m.organisation_id = NEW.organisation_id"
    " AND m.state IN ('active', 'suspended'))",
    "reissue_card: a manifest in force that the key of the order signed",
)
triggers.guard(
    "reissue_card_once",
    "reissue_card",
    "UPDATE",
    "OLD.outcome <> 'waiting' OR (NEW.new_manifest_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM manifest m JOIN activation a"
    " ON a.id = m.activation_id JOIN token t ON t.id = a.token_id WHERE m.id = NEW.new_manifest_id AND m.card_id = NEW.card_id"
    " AND a.source = 'carried' AND t.reissue_id = NEW.reissue_id))",
    "reissue_card: settled once, by a manifest that this order carried",
)
