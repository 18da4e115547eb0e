"""Handovers (BAST) and their cards."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, query_expression, relationship

from sifilma.identity.models import Organisation
from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import LifeCycle, Stateful, Transition, state_check


class HandoverState(StrEnum):
    """States of a handover."""

    ISSUED = "issued"
    RECEIVED = "received"
    PARTLY_RECEIVED = "partly_received"
    CANCELLED = "cancelled"
    REFUSED = "refused"


class Side(StrEnum):
    """The two who sign a BAST: PIHAK PERTAMA hands over, PIHAK KEDUA receives."""

    ISSUER = "issuer"
    RECEIVER = "receiver"


class HandoverKind(StrEnum):
    """A delivery goes on towards the buyer; a return goes back to the maker or the directorate."""

    DELIVERY = "delivery"
    RETURN = "return"


class ReturnReason(StrEnum):
    """Why cards go back. After the end of an agreement or by a sanction they are out of use for good."""

    AGREEMENT_ENDED = "agreement_ended"
    SANCTION = "sanction"
    REPAIR = "repair"


S = HandoverState
RECEIPTS = (S.RECEIVED, S.PARTLY_RECEIVED)
"""The states in which the receiver holds the cards of a handover, other than those that did not come."""
HANDOVER = LifeCycle(
    "handover",
    "handover",
    initial=[S.ISSUED],
    transitions=[
        Transition(S.ISSUED, S.RECEIVED, entails="the receiver becomes the holder of its cards"),
        Transition(S.ISSUED, S.PARTLY_RECEIVED, entails="missing cards stay with the issuer, the others as received"),
        Transition(S.ISSUED, S.CANCELLED, entails="the cards return to their former state"),
        Transition(S.ISSUED, S.REFUSED, entails="the cards return to their former state"),
    ],
)


class Handover(Stateful, Base):
    """One BAST. `digest` is the SHA-256 (hex) of its content (`service.content`); the PDF prints it.

    `place` is None for one from before BASTs named a place, signatories and machines. `reason` is that of a return.
    """

    __tablename__ = "handover"
    __table_args__ = (
        CheckConstraint(state_check(HandoverState), name="state"),
        CheckConstraint("issuer_id <> receiver_id", name="two_parties"),
        CheckConstraint("kind IN ('delivery', 'return')", name="kind"),
        CheckConstraint(
            "(kind = 'delivery' AND reason IS NULL) OR"
            " (kind = 'return' AND reason IS NOT NULL AND reason IN ('agreement_ended', 'sanction', 'repair'))",
            name="reason",
        ),
        Index(None, "issuer_id", "id"),
        Index(None, "receiver_id", "id"),
        Index("ix_handover_number_part", "number", postgresql_using="gin", postgresql_ops={"number": "gin_trgm_ops"}),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    number: Mapped[str] = mapped_column(String(60), unique=True)
    kind: Mapped[str] = mapped_column(String(10), default=HandoverKind.DELIVERY.value)
    reason: Mapped[str | None] = mapped_column(String(20))
    issuer_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    receiver_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    issued_by: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    notes: Mapped[str] = mapped_column(Text, default="")
    place: Mapped[str | None] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))

    issuer: Mapped[Organisation] = relationship(foreign_keys=[issuer_id], lazy="joined")
    receiver: Mapped[Organisation] = relationship(foreign_keys=[receiver_id], lazy="joined")
    cards: Mapped[list[HandoverCard]] = relationship(order_by="HandoverCard.position", lazy="selectin")
    signatories: Mapped[list[HandoverSignatory]] = relationship(order_by="HandoverSignatory.side")
    counted: Mapped[int | None] = query_expression()

    @property
    def count(self) -> int:
        """Return the number of its cards. A list asks for the number alone (`counted`): a BAST may have 100,000 cards."""
        return len(self.cards) if self.counted is None else self.counted


class HandoverCard(Base):
    """One card of a handover. `former_state` is the state it returns to if the handover is cancelled or refused.

    `machine` is the hardware number of the unit the card was tied to when the BAST was issued, `pcid_seal` the seal of that unit's PCID.
    """

    __tablename__ = "handover_card"
    __table_args__ = (Index(None, "handover_id", "position"),)

    handover_id: Mapped[UUID] = mapped_column(ForeignKey("handover.id"), primary_key=True)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"), primary_key=True, index=True)
    position: Mapped[int]
    former_state: Mapped[str] = mapped_column(String(20))
    machine: Mapped[str | None] = mapped_column(String(40))
    pcid_seal: Mapped[str | None] = mapped_column(String(16))


class HandoverSignatory(Base):
    """Who signs a BAST for one side, as printed on it."""

    __tablename__ = "handover_signatory"
    __table_args__ = (CheckConstraint("side IN ('issuer', 'receiver')", name="side"),)

    handover_id: Mapped[UUID] = mapped_column(ForeignKey("handover.id"), primary_key=True)
    side: Mapped[str] = mapped_column(String(10), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    id_kind: Mapped[str] = mapped_column(String(10))
    id_number: Mapped[str] = mapped_column(String(40))
    position: Mapped[str] = mapped_column(String(200))


triggers.immutable("handover", "number", "kind", "reason", "issuer_id", "receiver_id", "issued_at", "issued_by", "notes", "place", "digest")
triggers.immutable("handover_card")
triggers.immutable("handover_signatory")
triggers.guard(
    "handover_card_held",
    "handover_card",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM card c JOIN handover h ON h.id = NEW.handover_id WHERE c.id = NEW.card_id"
    " AND c.holder_id = h.issuer_id AND (c.state IN ('personalised', 'received', 'handed_over')"
    " OR (h.kind = 'return' AND c.state IN ('damaged', 'locked', 'revoked'))))",
    "handover_card: only the holder hands a card over",
)
triggers.guard(
    "handover_card_once",
    "handover_card",
    "INSERT",
    "EXISTS (SELECT 1 FROM handover_card k JOIN handover h ON h.id = k.handover_id WHERE k.card_id = NEW.card_id"
    " AND k.handover_id <> NEW.handover_id AND h.state = 'issued')",
    "handover_card: a card is in one open handover at a time",
)
triggers.guard(
    "card_holder_chain",
    "card",
    "UPDATE",
    "OLD.holder_id <> NEW.holder_id AND NOT EXISTS (SELECT 1 FROM handover h JOIN handover_card k ON k.handover_id = h.id"
    " WHERE k.card_id = NEW.id AND h.issuer_id = OLD.holder_id AND h.receiver_id = NEW.holder_id"
    " AND h.state IN ('received', 'partly_received') AND NOT EXISTS (SELECT 1 FROM discrepancy_card m"
    " WHERE m.handover_id = h.id AND m.card_id = NEW.id AND m.state IN ('missing', 'found', 'sent_again', 'lost')))",
    "card: the holder changes by a received handover only, and not for a card that did not come",
)
