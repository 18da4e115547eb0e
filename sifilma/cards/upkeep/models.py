"""Corrections of units by two persons."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sifilma.approvals import four_eyes
from sifilma.approvals.models import ProposalState, Proposed, proposal_cycle
from sifilma.cards.models import Unit
from sifilma.kernel.db import Base
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import state_check

_PROPOSED = "state = 'proposed'"
CORRECTION = proposal_cycle("unit_correction", "the unit has these numbers; a manifest that names others is revoked")


class UnitCorrection(Proposed, Base):
    """Another hardware number or PCID for a unit to which something is bound: one person proposes it, another of the holder executes.

    `hardware_number` and `pcid` are what becomes of each (None: it stays); `former_hardware_number` and `former_pcid` what they were.
    """

    __tablename__ = "unit_correction"
    __table_args__ = (
        CheckConstraint(state_check(ProposalState), name="state"),
        CheckConstraint("hardware_number IS NOT NULL OR pcid IS NOT NULL", name="something"),
        CheckConstraint("pcid IS NULL OR (length(pcid) = 32 AND pcid = upper(pcid))", name="pcid"),
        Index("uq_unit_correction_proposed", "unit_id", unique=True, sqlite_where=text(_PROPOSED), postgresql_where=text(_PROPOSED)),
        Index(None, "unit_id", "id"),
        Index(None, "organisation_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("unit.id"))
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    hardware_number: Mapped[str | None] = mapped_column(String(40))
    pcid: Mapped[str | None] = mapped_column(String(32))
    former_hardware_number: Mapped[str] = mapped_column(String(40))
    former_pcid: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(Text)

    unit: Mapped[Unit] = relationship(lazy="joined")


four_eyes.protect_proposal(
    "unit_correction", "unit_id", "organisation_id", "hardware_number", "pcid", "former_hardware_number", "former_pcid", "reason"
)
