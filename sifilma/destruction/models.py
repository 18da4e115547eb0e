"""Destructions: the proposal, its approvals, and the record with witnesses and photos."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sifilma.approvals import four_eyes
from sifilma.approvals.models import Approval, Submitted
from sifilma.identity.models import Organisation
from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import LifeCycle, Stateful, Transition, state_check


class DestructionState(StrEnum):
    """States of a destruction."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXECUTED = "executed"
    VERIFIED = "verified"
    CANCELLED = "cancelled"


S = DestructionState
DESTRUCTION = LifeCycle(
    "destruction",
    "destruction",
    initial=[S.PROPOSED],
    transitions=[
        Transition(S.PROPOSED, S.APPROVED),
        Transition(S.PROPOSED, S.REJECTED),
        Transition(S.PROPOSED, S.CANCELLED),
        Transition(S.APPROVED, S.EXECUTED, entails="the Berita Acara is complete; the cards are destroyed"),
        Transition(S.APPROVED, S.CANCELLED),
        Transition(S.EXECUTED, S.VERIFIED),
    ],
)


class Destruction(Submitted, Stateful, Base):
    """Cards proposed for destruction and, once executed, the Berita Acara. `digest` covers the proposal, `record_digest` the record."""

    __tablename__ = "destruction"
    __table_args__ = (
        CheckConstraint(state_check(DestructionState), name="state"),
        CheckConstraint("cause IN ('damaged', 'locked', 'revoked')", name="cause"),
        Index(None, "organisation_id", "id"),
        Index("ix_destruction_number_part", "number", postgresql_using="gin", postgresql_ops={"number": "gin_trgm_ops"}),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    cause: Mapped[str] = mapped_column(String(10))
    notes: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    number: Mapped[str | None] = mapped_column(String(60), unique=True)
    place: Mapped[str | None] = mapped_column(Text)
    executed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    method: Mapped[str | None] = mapped_column(Text)
    official_name: Mapped[str | None] = mapped_column(String(200))
    official_id_kind: Mapped[str | None] = mapped_column(String(10))
    official_id_number: Mapped[str | None] = mapped_column(String(40))
    official_position: Mapped[str | None] = mapped_column(String(200))
    legal_basis: Mapped[str | None] = mapped_column(Text)
    record_digest: Mapped[str | None] = mapped_column(String(64))
    recorded_by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    verified_by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))

    organisation: Mapped[Organisation] = relationship(lazy="joined")
    approvals: Mapped[list[DestructionApproval]] = relationship(order_by="DestructionApproval.at", lazy="selectin")
    cards: Mapped[list[DestructionCard]] = relationship(order_by="DestructionCard.position", lazy="selectin")
    witnesses: Mapped[list[Witness]] = relationship(order_by="Witness.position", lazy="selectin")
    photos: Mapped[list[DestructionPhoto]] = relationship(order_by="DestructionPhoto.position", lazy="selectin")


class DestructionCard(Base):
    """One card named in a destruction."""

    __tablename__ = "destruction_card"

    destruction_id: Mapped[UUID] = mapped_column(ForeignKey("destruction.id"), primary_key=True)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"), primary_key=True, index=True)
    position: Mapped[int]


class DestructionApproval(Approval, Base):
    """One approver's approval of one digest of the proposal."""

    __tablename__ = "destruction_approval"
    __table_args__ = (UniqueConstraint("destruction_id", "person_id", "digest"),)

    destruction_id: Mapped[UUID] = mapped_column(ForeignKey("destruction.id"))


class Witness(Base):
    """One witness, with the particulars printed in the Berita Acara."""

    __tablename__ = "destruction_witness"
    __table_args__ = (UniqueConstraint("destruction_id", "id_kind", "id_number"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    destruction_id: Mapped[UUID] = mapped_column(ForeignKey("destruction.id"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    id_kind: Mapped[str] = mapped_column(String(10))
    id_number: Mapped[str] = mapped_column(String(40))
    office: Mapped[str] = mapped_column(String(200))
    job: Mapped[str] = mapped_column(String(200))


class DestructionPhoto(Base):
    """One photo of the destruction."""

    __tablename__ = "destruction_photo"

    destruction_id: Mapped[UUID] = mapped_column(ForeignKey("destruction.id"), primary_key=True)
    document_id: Mapped[UUID] = mapped_column(ForeignKey("document.id"), primary_key=True)
    position: Mapped[int]


four_eyes.protect(
    "destruction",
    "destruction_approval",
    waiting="proposed",
    approved="approved",
    content=("organisation_id", "cause", "notes"),
    editable=(),
)
four_eyes.protect_parts("destruction_card", "destruction", editable=("proposed",))
for _table in ("destruction_witness", "destruction_photo"):
    four_eyes.protect_parts(_table, "destruction", editable=("approved",))
triggers.guard(
    # At least two witnesses (docs/domain.md, rule 9). The setting `witnesses_min` may require more.
    "destruction_complete",
    "destruction",
    "UPDATE",
    "OLD.state <> NEW.state AND NEW.state = 'executed' AND (NEW.number IS NULL OR NEW.place IS NULL OR NEW.executed_at IS NULL"
    " OR NEW.method IS NULL"
    " OR NEW.official_name IS NULL OR NEW.official_id_number IS NULL OR NEW.official_position IS NULL OR NEW.record_digest IS NULL"
    " OR (SELECT COUNT(*) FROM destruction_witness w WHERE w.destruction_id = NEW.id) < 2"
    " OR NOT EXISTS (SELECT 1 FROM destruction_photo f WHERE f.destruction_id = NEW.id))",
    "destruction: the Berita Acara is not complete",
)
_RECORD = (
    "number",
    "place",
    "executed_at",
    "method",
    "official_name",
    "official_id_kind",
    "official_id_number",
    "official_position",
    "legal_basis",
    "record_digest",
    "recorded_by_person",
)
triggers.guard(
    "destruction_recorded",
    "destruction",
    "UPDATE",
    "OLD.state <> 'approved' AND (" + " OR ".join(f"OLD.{c} IS DISTINCT FROM NEW.{c}" for c in _RECORD) + ")",
    "destruction: what was recorded does not change",
)
triggers.guard(
    "destruction_verified",
    "destruction",
    "UPDATE",
    "OLD.state <> NEW.state AND NEW.state = 'verified' AND (NEW.verified_by_person IS NULL"
    " OR NEW.verified_by_person = NEW.submitted_by_person OR NEW.verified_by_person = NEW.recorded_by_person)",
    "destruction: verified by another person",
)
triggers.guard(
    "card_destroyed",
    "card",
    "UPDATE",
    "OLD.state <> NEW.state AND NEW.state = 'destroyed' AND NOT EXISTS (SELECT 1 FROM destruction d JOIN destruction_card k"
    " ON k.destruction_id = d.id WHERE k.card_id = NEW.id AND d.state = 'executed')",
    "card: destroyed only with a Berita Acara",
)
