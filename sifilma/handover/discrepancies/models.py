"""What a receipt differs from its BAST in: one discrepancy a BAST, and one row a card that is missing or came damaged."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import LifeCycle, Stateful, Transition, state_check


class DifferenceState(StrEnum):
    """The state of a card that a receipt differs in. A damaged card is with the receiver; its own life goes on from there."""

    MISSING = "missing"
    DAMAGED = "damaged"
    FOUND = "found"
    SENT_AGAIN = "sent_again"
    ARRIVED = "arrived"
    LOST = "lost"


S = DifferenceState
DIFFERENCE = LifeCycle(
    "discrepancy_card",
    "discrepancy_card",
    initial=[S.MISSING, S.DAMAGED],
    transitions=[
        Transition(S.MISSING, S.FOUND, entails="the card is back at the issuer in its former state"),
        Transition(S.MISSING, S.SENT_AGAIN, entails="the card is found, and a new BAST has it"),
        Transition(S.MISSING, S.ARRIVED, entails="the receiver becomes the holder of the card"),
        Transition(S.MISSING, S.LOST, entails="the card is lost; the report to the police is named"),
    ],
)
_MISSING = "state = 'missing'"


class Discrepancy(Base):
    """What a receipt differs from its BAST in, as the receiver stated it. `digest` is the SHA-256 (hex) of `service.content`."""

    __tablename__ = "discrepancy"

    handover_id: Mapped[UUID] = mapped_column(ForeignKey("handover.id"), primary_key=True)
    number: Mapped[str] = mapped_column(String(60), unique=True)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_by: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    place: Mapped[str] = mapped_column(Text)
    notes: Mapped[str] = mapped_column(Text, default="")
    digest: Mapped[str] = mapped_column(String(64))

    cards: Mapped[list[DiscrepancyCard]] = relationship(order_by="DiscrepancyCard.position", lazy="selectin")
    signatories: Mapped[list[DiscrepancySignatory]] = relationship(order_by="DiscrepancySignatory.side", lazy="selectin")


class DiscrepancyCard(Stateful, Base):
    """One card that did not come, or came damaged. `police_report` is the number of the report to the police of a card that is lost."""

    __tablename__ = "discrepancy_card"
    __table_args__ = (
        CheckConstraint(state_check(DifferenceState), name="state"),
        CheckConstraint("(state = 'lost') = (police_report <> '')", name="police_report"),
        UniqueConstraint("handover_id", "card_id"),
        Index("uq_discrepancy_card_missing", "card_id", unique=True, sqlite_where=text(_MISSING), postgresql_where=text(_MISSING)),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    handover_id: Mapped[UUID] = mapped_column(ForeignKey("discrepancy.handover_id"))
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"), index=True)
    position: Mapped[int]
    note: Mapped[str] = mapped_column(Text)
    police_report: Mapped[str] = mapped_column(String(100), default="")


class DiscrepancySignatory(Base):
    """Who signs the paper about a discrepancy for one side of the BAST, as printed on it."""

    __tablename__ = "discrepancy_signatory"
    __table_args__ = (CheckConstraint("side IN ('issuer', 'receiver')", name="side"),)

    handover_id: Mapped[UUID] = mapped_column(ForeignKey("discrepancy.handover_id"), primary_key=True)
    side: Mapped[str] = mapped_column(String(10), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    id_kind: Mapped[str] = mapped_column(String(10))
    id_number: Mapped[str] = mapped_column(String(40))
    position: Mapped[str] = mapped_column(String(200))


triggers.immutable("discrepancy")
triggers.immutable("discrepancy_signatory")
triggers.immutable("discrepancy_card", "handover_id", "card_id", "position", "note")
triggers.guard(
    "discrepancy_card_named",
    "discrepancy_card",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM handover_card k WHERE k.handover_id = NEW.handover_id AND k.card_id = NEW.card_id)",
    "discrepancy_card: its BAST does not name this card",
)
triggers.guard(
    "discrepancy_card_held",
    "discrepancy_card",
    "INSERT",
    "EXISTS (SELECT 1 FROM card c JOIN handover h ON h.id = NEW.handover_id"
    " WHERE c.id = NEW.card_id AND c.holder_id <> CASE NEW.state WHEN 'missing' THEN h.issuer_id ELSE h.receiver_id END)",
    "discrepancy_card: a missing card stays with the issuer, a damaged one has come",
)
