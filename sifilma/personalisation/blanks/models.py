"""Deliveries of blank SAMs, and each blank of them."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.audit import recorded
from sifilma.audit.recorded import RecordedOnce
from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import LifeCycle, Stateful, Transition, state_check

_RECORDED, _COUNTS = "state = 'recorded'", "state <> 'withdrawn'"


class DeliveryState(StrEnum):
    """States of a delivery of blank SAMs."""

    RECORDED = "recorded"
    CANCELLED = "cancelled"


class BlankState(StrEnum):
    """States of one blank SAM: in the store, issued to personalisation, used up, or out of the ledger."""

    STOCKED = "stocked"
    ISSUED = "issued"
    PERSONALISED = "personalised"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


BLANK_DELIVERY = LifeCycle(
    "blank_delivery",
    "blank_delivery",
    initial=[DeliveryState.RECORDED],
    transitions=[Transition(DeliveryState.RECORDED, DeliveryState.CANCELLED, entails="all its blanks are withdrawn")],
)
B = BlankState
_STORED = (B.STOCKED, B.ISSUED)
BLANK_CARD = LifeCycle(
    "blank_card",
    "blank_card",
    initial=[B.STOCKED],
    transitions=[
        Transition(B.STOCKED, B.ISSUED),
        Transition(B.ISSUED, B.STOCKED, entails="it came back unused, or its request was closed"),
        *(Transition(s, B.PERSONALISED, entails="the result of its card") for s in _STORED),
        *(Transition(s, B.FAILED, entails="the result of its card") for s in _STORED),
        *(Transition(s, B.WITHDRAWN, entails="its delivery was cancelled, or its card was revoked with a closed request") for s in _STORED),
    ],
)


class BlankDelivery(RecordedOnce, Stateful, Base):
    """One delivery: the supplier's note, and so many blanks. `cards_sha256` is the SHA-256 (hex) of their UIDs in order."""

    __tablename__ = "blank_delivery"
    __recorded__ = ("number", "supplier", "delivered_on", "count", "cards_sha256", "recorded_at", "recorded_by_person")
    __table_args__ = (
        CheckConstraint(state_check(DeliveryState), name="state"),
        CheckConstraint("count BETWEEN 1 AND 10000", name="count"),
        Index(
            "uq_blank_delivery_note", "number_key", "supplier", unique=True,
            sqlite_where=text(_RECORDED), postgresql_where=text(_RECORDED),
        ),
        Index(None, "delivered_on", "id"),
    )  # fmt: skip

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    number: Mapped[str] = mapped_column(String(100))
    number_key: Mapped[str] = mapped_column(String(100))
    supplier: Mapped[str] = mapped_column(String(200))
    delivered_on: Mapped[date]
    count: Mapped[int]
    cards_sha256: Mapped[str] = mapped_column(String(64))
    notes: Mapped[str] = mapped_column(Text, default="")
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    recorded_by_person: Mapped[UUID] = mapped_column(ForeignKey("person.id"))


class BlankCard(Stateful, Base):
    """One blank SAM of a delivery. `personalisation_request_id` is the request it was issued for, or that its card was made for."""

    __tablename__ = "blank_card"
    __table_args__ = (
        CheckConstraint(state_check(BlankState), name="state"),
        CheckConstraint("length(uid) = 16 AND uid = upper(uid)", name="uid"),
        CheckConstraint("state <> 'stocked' OR personalisation_request_id IS NULL", name="stocked"),
        CheckConstraint("state NOT IN ('issued', 'personalised', 'failed') OR personalisation_request_id IS NOT NULL", name="issued"),
        UniqueConstraint("delivery_id", "position"),
        Index("uq_blank_card_uid", "uid", unique=True, sqlite_where=text(_COUNTS), postgresql_where=text(_COUNTS)),
        Index(None, "state", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    uid: Mapped[str] = mapped_column(String(16))
    delivery_id: Mapped[UUID] = mapped_column(ForeignKey("blank_delivery.id"))
    position: Mapped[int] = mapped_column(Integer)
    personalisation_request_id: Mapped[UUID | None] = mapped_column(ForeignKey("personalisation_request.id"), index=True)


triggers.immutable("blank_delivery", "number", "number_key", "supplier", "delivered_on", "count", "cards_sha256", "notes", "recorded_at")
triggers.immutable("blank_card", "uid", "delivery_id", "position")
triggers.guard(
    "blank_card_delivered",
    "blank_card",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM blank_delivery d WHERE d.id = NEW.delivery_id AND d.state = 'recorded'"
    " AND NEW.position BETWEEN 1 AND d.count)",
    "blank_card: not more than its delivery counts",
)
triggers.guard(
    "blank_card_result",
    "blank_card",
    "UPDATE",
    "OLD.state <> NEW.state AND NEW.state IN ('personalised', 'failed') AND NOT EXISTS (SELECT 1 FROM personalisation_result r"
    " JOIN card c ON c.id = r.card_id WHERE c.uid = NEW.uid AND r.outcome = NEW.state"
    " AND r.personalisation_request_id = NEW.personalisation_request_id)",
    "blank_card: used up by a result of its card",
)
triggers.guard(
    "blank_delivery_cancelled",
    "blank_delivery",
    "UPDATE",
    "NEW.state = 'cancelled' AND EXISTS (SELECT 1 FROM blank_card b WHERE b.delivery_id = NEW.id AND b.state <> 'withdrawn')",
    "blank_delivery: cancelled only with all its blanks",
)
recorded.protect(BlankDelivery)
