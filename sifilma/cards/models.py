"""Cards, the machines they are tied to, and the models of those machines."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sifilma.audit import recorded
from sifilma.audit.recorded import Recorded, RecordedOnce
from sifilma.kernel import triggers
from sifilma.kernel.db import Base, Json, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import Cause, LifeCycle, Stateful, Transition, state_check


class Function(StrEnum):
    """What a card may do with KTP-el chips: read, or read and write."""

    R = "R"
    RW = "RW"


class CardState(StrEnum):
    """The state of a card (docs/domain.md, Life of a card)."""

    REGISTERED = "registered"
    PERSONALISED = "personalised"
    HANDED_OVER = "handed_over"
    RECEIVED = "received"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    LOST = "lost"
    DAMAGED = "damaged"
    LOCKED = "locked"
    REVOKED = "revoked"
    DESTROYED = "destroyed"


S = CardState
_BROKEN = (S.DAMAGED, S.LOCKED, S.REVOKED)
_LIVING = (S.REGISTERED, S.PERSONALISED, S.HANDED_OVER, S.RECEIVED, S.ACTIVE, S.SUSPENDED, S.LOST)
_TIES = "state IN ({})".format(", ".join(f"'{state}'" for state in _LIVING))
_SUSPENDABLE = (S.PERSONALISED, S.HANDED_OVER, S.RECEIVED, S.ACTIVE)
_REVOKE = "the manifest is revoked, tokens are cancelled"

CARD = LifeCycle(
    "card",
    "card",
    initial=[S.REGISTERED],
    transitions=[
        Transition(S.REGISTERED, S.PERSONALISED),
        Transition(S.PERSONALISED, S.HANDED_OVER),
        Transition(S.HANDED_OVER, S.RECEIVED),
        Transition(S.HANDED_OVER, S.PERSONALISED, entails="the BAST was cancelled or refused: back to the directorate"),
        Transition(S.RECEIVED, S.HANDED_OVER, entails="the second BAST, from a manufacturer"),
        Transition(S.RECEIVED, S.ACTIVE, entails="a manifest is issued"),
        Transition(S.ACTIVE, S.ACTIVE, entails="relocation or renewal: the new manifest supersedes the old"),
        Transition(S.ACTIVE, S.RECEIVED, Cause.SYSTEM, "the manifest was revoked or has expired"),
        Transition(S.RECEIVED, S.LOST, entails="tokens are cancelled"),
        Transition(S.ACTIVE, S.LOST, entails=_REVOKE),
        Transition(S.LOST, S.RECEIVED, entails="found again; active only with a new manifest"),
        *(Transition(s, t, entails=_REVOKE if s in (S.ACTIVE, S.SUSPENDED) else "") for s in _LIVING for t in _BROKEN),
        *(Transition(s, S.SUSPENDED, Cause.SANCTION, "the manifest is suspended") for s in _SUSPENDABLE),
        *(Transition(S.SUSPENDED, s, Cause.SANCTION, "no suspension is open any more") for s in _SUSPENDABLE),
        *(Transition(s, S.DESTROYED, entails="a Berita Acara is complete") for s in _BROKEN),
    ],
)


class DeviceModel(Recorded, Base):
    """A model of reader or encoder: it has one manufacturer and one function."""

    __tablename__ = "device_model"
    __recorded__ = ("name", "manufacturer_id", "function", "created_at")

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    manufacturer_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    function: Mapped[str] = mapped_column(String(2))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Unit(Recorded, Base):
    """One reader or encoder. The manufacturer makes `pcid` (32 upper-case hexadecimal digits). `sam_perso` is as printed on the card."""

    __tablename__ = "unit"
    __recorded__ = (
        "organisation_id", "model_id", "hardware_number", "function", "pcid", "sam_perso", "public_jwk", "created_at",
    )  # fmt: skip
    __table_args__ = (
        UniqueConstraint("organisation_id", "hardware_number"),
        CheckConstraint("function IN ('R', 'RW')", name="function"),
        CheckConstraint("pcid IS NULL OR (length(pcid) = 32 AND pcid = upper(pcid))", name="pcid"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), index=True)
    model_id: Mapped[UUID] = mapped_column(ForeignKey("device_model.id"))
    hardware_number: Mapped[str] = mapped_column(String(40), index=True)
    function: Mapped[str] = mapped_column(String(2))
    pcid: Mapped[str | None] = mapped_column(String(32), unique=True)
    sam_perso: Mapped[str] = mapped_column(String(16), default="")
    public_jwk: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    model: Mapped[DeviceModel] = relationship(lazy="joined")


class Card(RecordedOnce, Stateful, Base):
    """One SAM card. `uid` has 16 upper-case hexadecimal digits.

    `seq` is the sequence number of its newest manifest, `unit_id` the unit it is tied to. A unit has at most one living card. Recorded is
    what a card is from its birth on; who holds it, where it is and how it is are steps of its life.
    """

    __tablename__ = "card"
    __recorded__ = ("uid", "function", "buyer_id", "personalisation_request_id", "key_version")
    __table_args__ = (
        CheckConstraint(state_check(CardState), name="state"),
        CheckConstraint("length(uid) = 16 AND uid = upper(uid)", name="uid"),
        CheckConstraint("function IN ('R', 'RW')", name="function"),
        # A unit has at most one living card; former cards keep naming it.
        Index("uq_card_living_unit", "unit_id", unique=True, sqlite_where=text(_TIES), postgresql_where=text(_TIES)),
        Index(None, "holder_id", "id"),
        Index(None, "buyer_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    uid: Mapped[str] = mapped_column(String(16), unique=True)
    function: Mapped[str] = mapped_column(String(2))
    holder_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    buyer_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    personalisation_request_id: Mapped[UUID] = mapped_column(ForeignKey("personalisation_request.id"), index=True)
    unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("unit.id"), index=True)
    key_version: Mapped[int] = mapped_column(Integer)
    kcv: Mapped[str] = mapped_column(String(6), default="")
    seq: Mapped[int] = mapped_column(Integer, default=0)

    unit: Mapped[Unit | None] = relationship(lazy="select")


class CardSuspension(Base):
    """One cause for which a card is suspended. The card returns to `former_state` when no suspension is open."""

    __tablename__ = "card_suspension"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"), index=True)
    cause: Mapped[str] = mapped_column(Text)
    former_state: Mapped[str] = mapped_column(String(20))
    opened_act: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))
    closed_act: Mapped[UUID | None] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))


class CardPhoto(Base):
    """One photo of a report on a card. `act_id` names the report's audit entry, which the step in the card's history names too."""

    __tablename__ = "card_photo"
    __table_args__ = (Index(None, "card_id", "act_id"),)

    document_id: Mapped[UUID] = mapped_column(ForeignKey("document.id"), primary_key=True)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"))
    act_id: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))
    position: Mapped[int]


triggers.immutable("card_photo")
triggers.guard(
    "card_sequence",
    "card",
    "UPDATE",
    "NEW.seq < OLD.seq",
    "card: its sequence does not go back",
)
triggers.guard("device_model_keep", "device_model", "DELETE", "", "device_model: nothing is deleted")
triggers.guard("unit_keep", "unit", "DELETE", "", "unit: nothing is deleted")
triggers.guard(
    "unit_identity",
    "unit",
    "UPDATE",
    "OLD.hardware_number <> NEW.hardware_number OR OLD.organisation_id <> NEW.organisation_id OR OLD.function <> NEW.function"
    " OR (OLD.pcid IS NOT NULL AND OLD.pcid IS DISTINCT FROM NEW.pcid)",
    "unit: its identity does not change",
)
for _model in (DeviceModel, Unit, Card):
    recorded.protect(_model)
