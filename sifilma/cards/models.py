"""Cards, the machines they are tied to, and the models of those machines."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship, synonym

from sifilma.audit.recorded import Recorded, RecordedOnce
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
TIES = "state IN ({})".format(", ".join(f"'{state}'" for state in _LIVING))
_ENCODERS = text("function = 'RW'")
_ELSEWHERE = text("holder_id <> buyer_id")
_USED_ELSEWHERE = text("holder_id <> buyer_id AND state IN ('active', 'suspended')")
_BROKEN_ONES = text("state IN ('damaged', 'locked', 'revoked')")
_OUT_OF_USE = text("state IN ('damaged', 'locked', 'revoked', 'lost', 'destroyed')")
REPORTABLE = (S.RECEIVED, S.ACTIVE)
"""The states in which a program may report a card. In others it is on its way or out of use: a person says what becomes of it."""
_REVOKE = "the manifest is revoked, tokens are cancelled"
BOUND = (
    "(EXISTS (SELECT 1 FROM card k WHERE k.unit_id = {unit}) OR EXISTS (SELECT 1 FROM activation a WHERE a.unit_id = {unit})"
    " OR EXISTS (SELECT 1 FROM batch_row b JOIN personalisation_request q ON q.id = b.personalisation_request_id"
    " WHERE b.unit_id = {unit} AND q.state IN ('submitted', 'approved', 'personalising')))"
)
"""A condition in SQL: a card is or was in the unit, or an open batch names it. It names tables of packages above."""

CARD = LifeCycle(
    "card",
    "card",
    initial=[S.REGISTERED],
    transitions=[
        Transition(S.REGISTERED, S.PERSONALISED),
        Transition(S.PERSONALISED, S.HANDED_OVER),
        Transition(S.HANDED_OVER, S.RECEIVED),
        Transition(S.HANDED_OVER, S.PERSONALISED, entails="back at the directorate: the BAST was cancelled or refused, or it is a return"),
        Transition(S.HANDED_OVER, S.LOST, entails="it never came, and the issuer declared it lost"),
        Transition(S.RECEIVED, S.HANDED_OVER, entails="the second BAST, from a manufacturer, or a return"),
        Transition(S.RECEIVED, S.ACTIVE, entails="a manifest is issued"),
        Transition(S.ACTIVE, S.ACTIVE, entails="relocation, renewal or replacement: the new manifest supersedes the old"),
        Transition(S.ACTIVE, S.RECEIVED, Cause.SYSTEM, "the manifest was revoked or has expired"),
        Transition(S.RECEIVED, S.LOST, entails="tokens are cancelled"),
        Transition(S.ACTIVE, S.LOST, entails=_REVOKE),
        Transition(S.LOST, S.RECEIVED, entails="found again; active only with a new manifest"),
        Transition(S.LOST, S.PERSONALISED, entails="found again at the directorate"),
        *(Transition(s, t, entails=_REVOKE if s in (S.ACTIVE, S.SUSPENDED) else "") for s in _LIVING for t in _BROKEN),
        *(Transition(s, S.SUSPENDED, Cause.SANCTION, "the manifest is suspended") for s in (S.PERSONALISED, S.HANDED_OVER)),
        *(
            Transition(s, S.SUSPENDED, entails="a program reported it, its place was rejected, or a sanction: the manifest is suspended")
            for s in REPORTABLE
        ),
        *(Transition(S.SUSPENDED, s, Cause.SANCTION, "no suspension is open any more") for s in (S.PERSONALISED, S.HANDED_OVER)),
        *(Transition(S.SUSPENDED, s, entails="no suspension is open any more") for s in REPORTABLE),
        Transition(S.SUSPENDED, S.SUSPENDED, entails="a relocation whose place waits for its review: the new manifest is suspended too"),
        Transition(S.SUSPENDED, S.LOST, entails=_REVOKE),
        *(Transition(s, S.DESTROYED, entails="a Berita Acara is complete") for s in _BROKEN),
    ],
)


class DeviceModel(Recorded, Base):
    """A model of reader or encoder: it has one manufacturer and a set of functions, which only grows.

    `function` holds the set as text: its names in the order of Function, with spaces between. A unit says which one it serves.
    """

    __tablename__ = "device_model"
    __recorded__ = ("name", "manufacturer_id", "function", "created_at")
    __table_args__ = (CheckConstraint("function IN ('R', 'RW', 'R RW')", name="function"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    manufacturer_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    function: Mapped[str] = mapped_column(String(5))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def functions(self) -> tuple[str, ...]:
        """Return the functions that units of this model can serve."""
        return tuple(self.function.split())


def function_set(functions: Collection[str]) -> str:
    """Return a set of functions as a model stores it."""
    return " ".join(name for name in Function if name in functions)


class UnitCondition(StrEnum):
    """What a unit is fit for. Where its card is in its life is another thing (`CardState`)."""

    WORKING = "working"
    BROKEN = "broken"
    RETIRED = "retired"


C = UnitCondition
UNIT = LifeCycle(
    "unit",
    "unit",
    initial=[C.WORKING],
    transitions=[
        Transition(C.WORKING, C.BROKEN, entails="no card is activated in it; a card in it stays, until a replacement moves it"),
        Transition(C.BROKEN, C.WORKING, entails="repaired"),
        Transition(C.WORKING, C.RETIRED, entails="without a living card only"),
        Transition(C.BROKEN, C.RETIRED, entails="without a living card only"),
    ],
)


class Unit(Recorded, Stateful, Base):
    """One reader or encoder. The manufacturer makes `pcid` (32 upper-case hexadecimal digits). `sam_perso` is as printed on the card.

    `condition` is the state of its life cycle; the API's `state` of a unit is that of the card in it. `outlet_id` is where it stands, if
    its organisation has said so: it moves by acts of its own, and no digest covers it. `public_jwk` is the key its manifests
    are encrypted to, `key_change_id` the change by two persons that set it (none: of before these).
    """

    __tablename__ = "unit"
    __recorded__ = (
        "organisation_id", "model_id", "hardware_number", "function", "pcid", "sam_perso", "public_jwk", "key_change_id",
        "created_at",
    )  # fmt: skip
    __table_args__ = (
        UniqueConstraint("organisation_id", "hardware_number"),
        CheckConstraint(state_check(UnitCondition), name="state"),
        CheckConstraint("function IN ('R', 'RW')", name="function"),
        CheckConstraint("pcid IS NULL OR (length(pcid) = 32 AND pcid = upper(pcid))", name="pcid"),
        Index(None, "organisation_id", "id"),
        Index(None, "model_id", "id"),
        Index(None, "outlet_id", postgresql_include=["state"]),  # units are counted by outlet
        *(
            Index(f"ix_unit_{name}_part", name, postgresql_using="gin", postgresql_ops={name: "gin_trgm_ops"})
            for name in ("hardware_number", "pcid")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    model_id: Mapped[UUID] = mapped_column(ForeignKey("device_model.id"))
    hardware_number: Mapped[str] = mapped_column(String(40), index=True)
    function: Mapped[str] = mapped_column(String(2))
    pcid: Mapped[str | None] = mapped_column(String(32), unique=True)
    sam_perso: Mapped[str] = mapped_column(String(16), default="")
    public_jwk: Mapped[dict[str, Any] | None] = mapped_column(Json)
    key_change_id: Mapped[UUID | None] = mapped_column(ForeignKey("unit_key_change.id"))
    outlet_id: Mapped[UUID | None] = mapped_column(ForeignKey("outlet.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    condition: Mapped[str] = synonym("state")
    model: Mapped[DeviceModel] = relationship(lazy="joined")


class KeyChangeState(StrEnum):
    """States of a change of public keys. What a program sent is `delivered`: a person proposes it, another executes it."""

    DELIVERED = "delivered"
    PROPOSED = "proposed"
    EXECUTED = "executed"
    REJECTED = "rejected"


KEY_CHANGE = LifeCycle(
    "unit_key_change",
    "unit_key_change",
    initial=[KeyChangeState.DELIVERED, KeyChangeState.PROPOSED],
    transitions=[
        Transition(KeyChangeState.DELIVERED, KeyChangeState.PROPOSED, entails="a person of the holder answers for it"),
        Transition(KeyChangeState.DELIVERED, KeyChangeState.REJECTED),
        Transition(KeyChangeState.PROPOSED, KeyChangeState.EXECUTED, entails="manifests are encrypted to these keys"),
        Transition(KeyChangeState.PROPOSED, KeyChangeState.REJECTED),
    ],
)


class UnitKeyChange(Stateful, Base):
    """Public keys of units of one organisation, which one person proposes and another executes: all of them, or none.

    `organisation_id` is that of the units, `by_organisation_id` that of the proposer: the same, or the maker of the units. `api_key_id` is
    the program that sent the keys. `digest` is the SHA-256 (hex) of units and thumbprints.
    """

    __tablename__ = "unit_key_change"
    __table_args__ = (
        CheckConstraint(state_check(KeyChangeState), name="state"),
        CheckConstraint("state NOT IN ('proposed', 'executed') OR proposed_by_person IS NOT NULL", name="proposed"),
        Index(None, "organisation_id", "id"),
        Index(None, "by_organisation_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    by_organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    api_key_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_key.id"))
    count: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    proposed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    proposed_by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    decided_by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))

    keys: Mapped[list[UnitKey]] = relationship(order_by="UnitKey.position", lazy="select")


class UnitKey(Base):
    """One key of a change: the unit it is for, and the public key as a JWK of four members."""

    __tablename__ = "unit_key"
    __table_args__ = (UniqueConstraint("change_id", "unit_id"),)

    change_id: Mapped[UUID] = mapped_column(ForeignKey("unit_key_change.id"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"), index=True)
    jwk: Mapped[dict[str, Any]] = mapped_column(Json)

    unit: Mapped[Unit] = relationship(lazy="joined")


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
        Index("uq_card_living_unit", "unit_id", unique=True, sqlite_where=text(TIES), postgresql_where=text(TIES)),
        Index(None, "holder_id", "id"),
        Index(None, "buyer_id", "id"),
        Index(None, "holder_id", "state", "id"),
        Index(None, "state", "id"),
        # Few cards are held by another than their buyer: those on their way to it, by request; and those in use, which are hardly any.
        Index(
            "ix_card_for_another",
            "holder_id",
            "state",
            "personalisation_request_id",
            "changed_at",
            sqlite_where=_ELSEWHERE,
            postgresql_where=_ELSEWHERE,
        ),
        Index("ix_card_bought_elsewhere", "buyer_id", "state", "id", sqlite_where=_ELSEWHERE, postgresql_where=_ELSEWHERE),
        Index("ix_card_used_by_another", "buyer_id", sqlite_where=_USED_ELSEWHERE, postgresql_where=_USED_ELSEWHERE),
        # Few are out of use: their holder destroys those that are broken, and their buyer asks for others.
        Index("ix_card_broken", "holder_id", "state", "changed_at", "id", sqlite_where=_BROKEN_ONES, postgresql_where=_BROKEN_ONES),
        Index("ix_card_out_of_use", "buyer_id", "state", "changed_at", "id", sqlite_where=_OUT_OF_USE, postgresql_where=_OUT_OF_USE),
        # Few cards are for encoders; those for readers are found by walking all of them.
        Index("ix_card_encoders", "id", sqlite_where=_ENCODERS, postgresql_where=_ENCODERS),
        Index("ix_card_encoders_held", "holder_id", "id", sqlite_where=_ENCODERS, postgresql_where=_ENCODERS),
        Index("ix_card_encoders_bought", "buyer_id", "id", sqlite_where=_ENCODERS, postgresql_where=_ENCODERS),
    )

    state: Mapped[str] = mapped_column(String(20))  # its index has the id besides
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
    # When the manifest of a suspended card ends, the card no longer returns to `active` (`program_reports.return_to`).
    opened_act: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))
    closed_act: Mapped[UUID | None] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))


class ReportState(StrEnum):
    """The state of a program's report on a card: it waits until a person confirms or withdraws it."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    WITHDRAWN = "withdrawn"


CARD_REPORT = LifeCycle(
    "card_report",
    "card_report",
    initial=[ReportState.PENDING],
    transitions=[
        Transition(ReportState.PENDING, ReportState.CONFIRMED, entails="the card is damaged, locked or lost"),
        Transition(ReportState.PENDING, ReportState.WITHDRAWN, entails="the card is back in its former state"),
    ],
)
_PENDING = "state = 'pending'"


class CardReport(Stateful, Base):
    """A program's report that a card is damaged, locked or lost. The card is suspended until a person decides.

    `organisation_id` is the card's holder; `change_note` of the first step is what the program told.
    """

    __tablename__ = "card_report"
    __table_args__ = (
        CheckConstraint(state_check(ReportState), name="state"),
        CheckConstraint("condition IN ('damaged', 'locked', 'lost')", name="condition"),
        CheckConstraint("state = 'pending' OR decided_by_person IS NOT NULL", name="decided"),
        Index("uq_card_report_pending", "card_id", unique=True, sqlite_where=text(_PENDING), postgresql_where=text(_PENDING)),
        Index(None, "organisation_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"), index=True)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    api_key_id: Mapped[UUID] = mapped_column(ForeignKey("api_key.id"))
    suspension_id: Mapped[UUID] = mapped_column(ForeignKey("card_suspension.id"), unique=True)
    condition: Mapped[str] = mapped_column(String(10))
    note: Mapped[str] = mapped_column(Text)
    reported_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))


class CardPhoto(Base):
    """One photo of a report on a card. `act_id` names the report's audit entry, which the step in the card's history names too."""

    __tablename__ = "card_photo"
    __table_args__ = (Index(None, "card_id", "act_id"),)

    document_id: Mapped[UUID] = mapped_column(ForeignKey("document.id"), primary_key=True)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"))
    act_id: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))
    position: Mapped[int]
