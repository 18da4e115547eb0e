"""Personalisation requests, the rows of their batches, their approvals and their results."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sifilma.approvals import four_eyes
from sifilma.approvals.letters import LETTER_COLUMNS, OPEN_LETTER
from sifilma.approvals.models import Approval, ProposalState, Proposed, Requested, proposal_cycle, request_checks
from sifilma.audit import recorded
from sifilma.audit.recorded import RecordedOnce
from sifilma.cards.models import Card
from sifilma.identity.models import Organisation
from sifilma.kernel import triggers
from sifilma.kernel.db import Base
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import LifeCycle, Transition, state_check


class PersonalisationState(StrEnum):
    """States of a personalisation request."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    APPROVED = "approved"
    REJECTED = "rejected"
    PERSONALISING = "personalising"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    CLOSED = "closed"


S = PersonalisationState
PERSONALISATION = LifeCycle(
    "personalisation_request",
    "personalisation_request",
    initial=[S.DRAFT],
    transitions=[
        Transition(S.DRAFT, S.SUBMITTED),
        Transition(S.DRAFT, S.CANCELLED),
        Transition(S.SUBMITTED, S.RETURNED),
        Transition(S.SUBMITTED, S.APPROVED, entails="the cards of the batch are registered"),
        Transition(S.SUBMITTED, S.REJECTED),
        Transition(S.SUBMITTED, S.CANCELLED),
        Transition(S.RETURNED, S.SUBMITTED),
        Transition(S.RETURNED, S.CANCELLED),
        Transition(S.APPROVED, S.PERSONALISING, entails="the first results came in"),
        Transition(S.APPROVED, S.COMPLETED, entails="all results came in at once"),
        Transition(S.PERSONALISING, S.COMPLETED, entails="the quantity is personalised"),
        *(
            Transition(s, S.CLOSED, entails="with a remainder, by two persons: cards not made are revoked")
            for s in (S.APPROVED, S.PERSONALISING)
        ),
    ],
)


class PersonalisationRequest(Requested, Base):
    """A request for `quantity` cards of one function, by an office for itself or by a manufacturer for a buyer."""

    __tablename__ = "personalisation_request"
    # The unique index refuses a second open request with the same letter, also if both are drafted at once.
    __table_args__ = (
        *request_checks(PersonalisationState),
        CheckConstraint("quantity >= 1", name="quantity"),
        Index(
            "uq_personalisation_request_letter",
            "requester_id",
            "letter_key",
            "letter_date",
            unique=True,
            sqlite_where=text(OPEN_LETTER),
            postgresql_where=text(OPEN_LETTER),
        ),
        Index(None, "requester_id", "id"),
        Index(None, "buyer_id", "id"),
        Index(None, "letter_date", "id"),
        Index(None, "letter_key", "id"),
        Index(
            "ix_personalisation_request_letter_key_part",
            "letter_key",
            postgresql_using="gin",
            postgresql_ops={"letter_key": "gin_trgm_ops"},
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    requester_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    buyer_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    quantity: Mapped[int]
    purchase_order_number: Mapped[str] = mapped_column(String(100), default="")
    purchase_order_document_id: Mapped[UUID | None] = mapped_column(ForeignKey("document.id"))
    batch_document_id: Mapped[UUID | None] = mapped_column(ForeignKey("document.id"))

    requester: Mapped[Organisation] = relationship(foreign_keys=[requester_id], lazy="joined")
    buyer: Mapped[Organisation] = relationship(foreign_keys=[buyer_id], lazy="joined")
    approvals: Mapped[list[PersonalisationApproval]] = relationship(order_by="PersonalisationApproval.at", lazy="selectin")
    replaced: Mapped[list[ReplacedCard]] = relationship(order_by="ReplacedCard.position", lazy="select", cascade="all, delete-orphan")
    rows: Mapped[list[BatchRow]] = relationship(order_by="BatchRow.row_no", lazy="select", cascade="all, delete-orphan")


class PersonalisationApproval(Approval, Base):
    """One approval of a personalisation request."""

    __tablename__ = "personalisation_approval"
    __table_args__ = (UniqueConstraint("personalisation_request_id", "person_id", "digest"),)

    personalisation_request_id: Mapped[UUID] = mapped_column(ForeignKey("personalisation_request.id"))


ODD_PERSO = "sam_perso <> '' AND length(trim(sam_perso)) <> 16"
"""The condition, as an index has it, of rows whose SAM Perso is not as printed on the card."""


class BatchRow(Base):
    """One row of a manufacturer's batch: a registered unit of the buyer, its PCID (32 hex), and the UID of its card if it is known."""

    __tablename__ = "batch_row"
    __table_args__ = (
        UniqueConstraint("personalisation_request_id", "row_no"),
        UniqueConstraint("personalisation_request_id", "unit_id"),
        UniqueConstraint("personalisation_request_id", "pcid"),
        UniqueConstraint("personalisation_request_id", "sam_uid"),
        Index(
            "ix_batch_row_odd",
            "personalisation_request_id",
            "row_no",
            sqlite_where=text(ODD_PERSO),
            postgresql_where=text(ODD_PERSO),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    personalisation_request_id: Mapped[UUID] = mapped_column(ForeignKey("personalisation_request.id"))
    row_no: Mapped[int] = mapped_column(Integer)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"))
    pcid: Mapped[str] = mapped_column(String(32))
    sam_uid: Mapped[str | None] = mapped_column(String(16))
    sam_perso: Mapped[str] = mapped_column(String(16), default="")


class ReplacedCard(Base):
    """A card that is out of use and is replaced by one of the request's, as its letter says."""

    __tablename__ = "personalisation_replaced"

    personalisation_request_id: Mapped[UUID] = mapped_column(ForeignKey("personalisation_request.id"), primary_key=True)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"), primary_key=True, index=True)
    position: Mapped[int]

    card: Mapped[Card] = relationship(lazy="joined")


class PersonalisationResult(RecordedOnce, Base):
    """The result of one card on the personalisation machine. `kcv` is the key check value from the HSM (6 hex), empty for a failed card.

    `place` numbers the personalised cards of a request: within its quantity, and each once. So nobody has to count them.
    """

    __tablename__ = "personalisation_result"
    __recorded__ = ("personalisation_request_id", "card_id", "outcome", "hardware_number", "kcv")
    __table_args__ = (
        CheckConstraint("outcome IN ('personalised', 'failed')", name="outcome"),
        CheckConstraint("(outcome = 'personalised') = (place IS NOT NULL)", name="place"),
        CheckConstraint("place >= 1", name="place_from"),
        UniqueConstraint("card_id"),
        UniqueConstraint("personalisation_request_id", "place"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    personalisation_request_id: Mapped[UUID] = mapped_column(ForeignKey("personalisation_request.id"), index=True)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"))
    outcome: Mapped[str] = mapped_column(String(12))
    hardware_number: Mapped[str] = mapped_column(String(40), default="")
    kcv: Mapped[str] = mapped_column(String(6), default="")
    place: Mapped[int | None]
    act_id: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))


CLOSING = proposal_cycle("personalisation_closing", "the request is closed with a remainder")
_PROPOSED = "state = 'proposed'"


class PersonalisationClosing(Proposed, Base):
    """A proposal to close a request with a remainder, and its decision by an approver. `remainder` counts the cards that are not made."""

    __tablename__ = "personalisation_closing"
    __table_args__ = (
        CheckConstraint(state_check(ProposalState), name="state"),
        CheckConstraint("(state = 'executed') = (remainder IS NOT NULL)", name="remainder"),
        Index(None, "personalisation_request_id"),
        Index(
            "uq_personalisation_closing_proposed",
            "personalisation_request_id",
            unique=True,
            sqlite_where=text(_PROPOSED),
            postgresql_where=text(_PROPOSED),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    personalisation_request_id: Mapped[UUID] = mapped_column(ForeignKey("personalisation_request.id"))
    reason: Mapped[str] = mapped_column(Text)
    remainder: Mapped[int | None]


four_eyes.protect(
    "personalisation_request",
    "personalisation_approval",
    waiting="submitted",
    approved="approved",
    content=(
        *LETTER_COLUMNS,
        "requester_id",
        "buyer_id",
        "function",
        "quantity",
        "purchase_order_number",
        "purchase_order_document_id",
        "batch_document_id",
        "notes",
    ),
)
four_eyes.protect_parts("batch_row", "personalisation_request")
triggers.guard(
    "personalisation_request_whole",
    "personalisation_request",
    "UPDATE",
    "OLD.state <> NEW.state AND NEW.state = 'submitted' AND NEW.batch_document_id IS NOT NULL AND NEW.quantity <>"
    " (SELECT COUNT(*) FROM batch_row b WHERE b.personalisation_request_id = NEW.id)",
    "personalisation_request: submitted with its whole batch",
)
four_eyes.protect_proposal("personalisation_closing", "personalisation_request_id", "reason")
triggers.guard(
    "personalisation_request_closed_by_two",
    "personalisation_request",
    "UPDATE",
    "OLD.state <> NEW.state AND NEW.state = 'closed' AND NOT EXISTS (SELECT 1 FROM personalisation_closing c"
    " WHERE c.personalisation_request_id = NEW.id AND c.state = 'executed')",
    "personalisation_request: closed by two persons",
)
four_eyes.protect_parts("personalisation_replaced", "personalisation_request")
triggers.guard(
    "personalisation_replaced_once",
    "personalisation_replaced",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM card c JOIN personalisation_request q ON q.id = NEW.personalisation_request_id"
    " WHERE c.id = NEW.card_id AND c.buyer_id = q.buyer_id AND c.function = q.function"
    " AND c.state IN ('damaged', 'locked', 'lost', 'destroyed'))"
    " OR EXISTS (SELECT 1 FROM personalisation_replaced o JOIN personalisation_request p ON p.id = o.personalisation_request_id"
    " WHERE o.card_id = NEW.card_id AND o.personalisation_request_id <> NEW.personalisation_request_id"
    " AND p.state NOT IN ('rejected', 'cancelled'))",
    "personalisation_replaced: a card out of use, of this buyer and function, is replaced once",
)
triggers.immutable("personalisation_result")
recorded.protect(PersonalisationResult)
triggers.guard(
    "card_quantity",
    "card",
    "UPDATE",
    "OLD.state <> NEW.state AND NEW.state = 'personalised' AND OLD.state = 'registered' AND NOT EXISTS (SELECT 1"
    " FROM personalisation_result r WHERE r.card_id = NEW.id AND r.personalisation_request_id = NEW.personalisation_request_id"
    " AND r.outcome = 'personalised')",
    "card: personalised by its result only",
)
triggers.guard(
    "personalisation_result_place",
    "personalisation_result",
    "INSERT",
    "NEW.place > (SELECT q.quantity FROM personalisation_request q WHERE q.id = NEW.personalisation_request_id)",
    "personalisation_result: more cards than were approved",
)
triggers.guard(
    "card_born_approved",
    "card",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM personalisation_request q WHERE q.id = NEW.personalisation_request_id"
    " AND q.function = NEW.function AND q.buyer_id = NEW.buyer_id AND q.state IN ('approved', 'personalising'))",
    "card: born only of an approved request",
)
