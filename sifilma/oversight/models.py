"""Agreements (PKS), cases of models with their certificates, and proposed changes of reference data."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sifilma.approvals import four_eyes
from sifilma.approvals.models import Approval, ProposalState, Proposed, Submitted, proposal_cycle
from sifilma.audit import recorded
from sifilma.audit.recorded import Recorded
from sifilma.cards.models import DeviceModel
from sifilma.identity.models import Organisation, holds_sql
from sifilma.kernel import triggers
from sifilma.kernel.actor import Role
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import LifeCycle, Stateful, Transition, state_check


class Agreement(Recorded, Base):
    """An agreement (PKS): an institution's right to use readers, from one day until another, both included (docs/domain.md, rule 8).

    `document_id` is the agreement itself as a PDF, if it was uploaded with the proposal.
    """

    __tablename__ = "agreement"
    __recorded__ = ("organisation_id", "number", "valid_from", "valid_until", "created_at")
    __table_args__ = (UniqueConstraint("organisation_id", "number"), CheckConstraint("valid_from <= valid_until", name="dates"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), index=True)
    number: Mapped[str] = mapped_column(String(100))
    valid_from: Mapped[date]
    valid_until: Mapped[date]
    document_id: Mapped[UUID | None] = mapped_column(ForeignKey("document.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CaseKind(StrEnum):
    """The two procedures: a test by the testing body, a certificate of local content (TKDN)."""

    TESTING = "testing"
    CERTIFICATION = "certification"


class CertificateKind(StrEnum):
    """The kind of certificate that a procedure ends with."""

    TEST = "test"
    TKDN = "tkdn"


CERTIFICATE_OF = {CaseKind.TESTING: CertificateKind.TEST, CaseKind.CERTIFICATION: CertificateKind.TKDN}


class CaseState(StrEnum):
    """States of a case. In `approved_to_test` a letter of the directorate has sent the model to the testing or certifying body."""

    APPLIED = "applied"
    APPROVED_TO_TEST = "approved_to_test"
    TESTED = "tested"
    CERTIFIED = "certified"
    REPORTED = "reported"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


S = CaseState
CASE = LifeCycle(
    "model_case",
    "model_case",
    initial=[S.APPLIED],
    transitions=[
        Transition(S.APPLIED, S.APPROVED_TO_TEST),
        Transition(S.APPLIED, S.REJECTED),
        Transition(S.APPLIED, S.CANCELLED),
        Transition(S.APPROVED_TO_TEST, S.TESTED, entails="the certificate is recorded and waits for an approver"),
        Transition(S.APPROVED_TO_TEST, S.REJECTED),
        Transition(S.APPROVED_TO_TEST, S.CANCELLED),
        Transition(S.TESTED, S.APPROVED_TO_TEST, entails="the certificate was not recorded as it is: once more"),
        Transition(S.TESTED, S.CERTIFIED, entails="the model's certificate counts"),
        Transition(S.TESTED, S.REJECTED),
        Transition(S.CERTIFIED, S.REPORTED, entails="the Minister was told"),
    ],
)
CERTIFIED = (S.CERTIFIED, S.REPORTED)
_OPEN = "state IN ('applied', 'approved_to_test', 'tested')"


class ModelCase(Submitted, Stateful, Base):
    """A manufacturer's application to have a model tested or certified. An operator submits its certificate, an approver approves it."""

    __tablename__ = "model_case"
    __table_args__ = (
        CheckConstraint(state_check(CaseState), name="state"),
        CheckConstraint("kind IN ('testing', 'certification')", name="kind"),
        # At most one open case per model and kind, also if two applications come at once (`cases.apply` cannot see the other then).
        Index("uq_model_case_open", "model_id", "kind", unique=True, sqlite_where=text(_OPEN), postgresql_where=text(_OPEN)),
        Index(None, "organisation_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    model_id: Mapped[UUID] = mapped_column(ForeignKey("device_model.id"), index=True)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    kind: Mapped[str] = mapped_column(String(20))
    letter_number: Mapped[str] = mapped_column(String(100))
    letter_date: Mapped[date]
    letter_document_id: Mapped[UUID] = mapped_column(ForeignKey("document.id"))
    notes: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    model: Mapped[DeviceModel] = relationship(lazy="joined")
    organisation: Mapped[Organisation] = relationship(lazy="joined")
    certificate: Mapped[ModelCertificate | None] = relationship(lazy="joined")
    approvals: Mapped[list[ModelCaseApproval]] = relationship(order_by="ModelCaseApproval.at", lazy="selectin")


class ModelCaseApproval(Approval, Base):
    """One approval of the certificate of a case."""

    __tablename__ = "model_case_approval"
    __table_args__ = (UniqueConstraint("model_case_id", "person_id", "digest"),)

    model_case_id: Mapped[UUID] = mapped_column(ForeignKey("model_case.id"))


class ModelCertificate(Base):
    """A certificate of a model. It counts once its case is certified.

    `tkdn_e2` and `tkdn_min_e2` are in hundredths of a percent. `tkdn_min_e2` and `legal_basis` are the settings at the time of recording.
    """

    __tablename__ = "model_certificate"
    __table_args__ = (
        CheckConstraint("kind IN ('test', 'tkdn')", name="kind"),
        CheckConstraint("issued_on <= valid_until", name="dates"),
        CheckConstraint("(kind = 'tkdn') = (tkdn_e2 IS NOT NULL)", name="tkdn"),
        CheckConstraint("tkdn_e2 IS NULL OR (tkdn_e2 >= tkdn_min_e2 AND tkdn_e2 <= 10000)", name="tkdn_min"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    model_case_id: Mapped[UUID] = mapped_column(ForeignKey("model_case.id"), unique=True)
    kind: Mapped[str] = mapped_column(String(10))
    number: Mapped[str] = mapped_column(String(100))
    issuer: Mapped[str] = mapped_column(String(200))
    issued_on: Mapped[date]
    valid_until: Mapped[date]
    tkdn_e2: Mapped[int | None] = mapped_column(Integer)
    tkdn_min_e2: Mapped[int] = mapped_column(Integer)
    legal_basis: Mapped[str] = mapped_column(Text)
    document_id: Mapped[UUID] = mapped_column(ForeignKey("document.id"))

    @property
    def tkdn(self) -> float | None:
        """Return the local content in percent, or None for a certificate of a test."""
        return self.tkdn_e2 / 100 if self.tkdn_e2 is not None else None


class ChangeKind(StrEnum):
    """The kind of rows that a change of reference data adds."""

    ORGANISATIONS = "organisations"
    AGREEMENTS = "agreements"
    MODELS = "models"


ChangeState = ProposalState
CHANGE = proposal_cycle("reference_change", "what it adds is registered")


class ReferenceChange(Proposed, Base):
    """Rows that an operator proposes to add to the reference data.

    `content` is `{"rows": [...]}`, with `document` (SHA-256, hex) if a PDF came with them; `digest` is the SHA-256 (hex) of id, kind and
    content (`reference.body`).
    """

    __tablename__ = "reference_change"
    __table_args__ = (
        CheckConstraint(state_check(ChangeState), name="state"),
        CheckConstraint("kind IN ('organisations', 'agreements', 'models')", name="kind"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    kind: Mapped[str] = mapped_column(String(20))
    content: Mapped[dict[str, Any]]
    digest: Mapped[str] = mapped_column(String(64))
    count: Mapped[int] = mapped_column(Integer)
    document_id: Mapped[UUID | None] = mapped_column(ForeignKey("document.id"))


recorded.protect(Agreement)
triggers.immutable("agreement", "organisation_id", "number", "valid_from", "valid_until", "document_id")
# `content` is empty: the trigger `model_case_application` below freezes the application in every state.
four_eyes.protect(
    "model_case",
    "model_case_approval",
    waiting="tested",
    approved="certified",
    content=(),
    editable=("approved_to_test",),
)
four_eyes.protect_parts("model_certificate", "model_case", editable=("approved_to_test",))
_APPLICATION = ("model_id", "organisation_id", "kind", "letter_number", "letter_date", "letter_document_id", "notes")
triggers.guard(
    "model_case_application",
    "model_case",
    "UPDATE",
    " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in _APPLICATION),
    "model_case: what was applied for does not change",
)
triggers.guard(
    "model_case_maker",
    "model_case",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM device_model d WHERE d.id = NEW.model_id AND d.manufacturer_id = NEW.organisation_id)",
    "model_case: a manufacturer applies for its own models",
)
triggers.guard(
    "model_case_tested",
    "model_case",
    "UPDATE",
    "OLD.state <> NEW.state AND NEW.state = 'tested' AND (NEW.digest IS NULL OR NEW.submitted_by_person IS NULL"
    " OR NOT EXISTS (SELECT 1 FROM model_certificate c WHERE c.model_case_id = NEW.id))",
    "model_case: tested only with its certificate recorded",
)
# A CHECK sees one row only, and the kind of the case is in another table.
for _event in ("INSERT", "UPDATE"):
    triggers.guard(
        f"model_certificate_kind_{_event.lower()}",
        "model_certificate",
        _event,
        "NOT EXISTS (SELECT 1 FROM model_case p WHERE p.id = NEW.model_case_id"
        " AND (p.kind = 'testing' AND NEW.kind = 'test' OR p.kind = 'certification' AND NEW.kind = 'tkdn'))",
        "model_certificate: of another kind than its case",
    )
triggers.guard(
    "reference_change_content",
    "reference_change",
    "UPDATE",
    " OR ".join(
        f"OLD.{column} IS DISTINCT FROM NEW.{column}"
        for column in ("kind", "content", "digest", "count", "document_id", "proposed_by_person")
    ),
    "reference_change: what was proposed does not change",
)
_NO_APPROVER = (
    "NOT EXISTS (SELECT 1 FROM user_account u WHERE u.id = NEW.changed_by"  # noqa: S608  # constants
    f" AND u.person_id = NEW.decided_by_person AND u.state = 'active' AND {holds_sql('u', Role.APPROVER, 'NEW.decided_at')})"
)
triggers.guard(
    "reference_change_second_person",
    "reference_change",
    "UPDATE",
    f"OLD.state <> NEW.state AND NEW.state = 'executed' AND ({four_eyes.NO_SECOND_PERSON} OR {_NO_APPROVER})",
    "reference_change: executed by an approver, another person",
)
