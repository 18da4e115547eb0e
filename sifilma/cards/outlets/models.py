"""Outlets: the places of an organisation at which its units stand."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.audit import recorded
from sifilma.audit.recorded import Recorded
from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import LifeCycle, Stateful, Transition, state_check


class OutletState(StrEnum):
    """Whether units may stand at an outlet, and activations begin there."""

    OPEN = "open"
    CLOSED = "closed"


OUTLET = LifeCycle(
    "outlet",
    "outlet",
    initial=[OutletState.OPEN],
    transitions=[
        Transition(OutletState.OPEN, OutletState.CLOSED, entails="no working unit stands there; it takes no unit and no activation"),
        Transition(OutletState.CLOSED, OutletState.OPEN, entails="opened again"),
    ],
)


class Outlet(Recorded, Stateful, Base):
    """An outlet. `branch_code` is the organisation's own (None: it has none), `region_code` that of the village, the degrees are WGS 84.

    Who answers there is a name with ways to reach somebody, not an account. It may be made empty without a trace of it in the digests.
    """

    __tablename__ = "outlet"
    __recorded__ = ("organisation_id", "name", "branch_code", "address", "region_code", "latitude_e7", "longitude_e7", "created_at")
    __table_args__ = (
        UniqueConstraint("organisation_id", "name"),
        UniqueConstraint("organisation_id", "branch_code"),
        CheckConstraint(state_check(OutletState), name="state"),
        CheckConstraint("branch_code <> ''", name="branch_code"),
        CheckConstraint("length(region_code) = 13", name="village"),
        CheckConstraint(
            "latitude_e7 BETWEEN -900000000 AND 900000000 AND longitude_e7 BETWEEN -1800000000 AND 1800000000", name="position"
        ),
        Index(None, "organisation_id", "id"),
        Index(None, "name", "id"),
        Index(None, "branch_code"),
        *(
            Index(f"ix_outlet_{name}_part", name, postgresql_using="gin", postgresql_ops={name: "gin_trgm_ops"})
            for name in ("name", "branch_code", "address")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    name: Mapped[str] = mapped_column(String(200))
    branch_code: Mapped[str | None] = mapped_column(String(40))
    address: Mapped[str] = mapped_column(Text)
    region_code: Mapped[str] = mapped_column(String(13))
    latitude_e7: Mapped[int]
    longitude_e7: Mapped[int]
    contact_name: Mapped[str] = mapped_column(String(200), default="", server_default="")
    contact_phone: Mapped[str] = mapped_column(String(30), default="", server_default="")
    contact_email: Mapped[str] = mapped_column(String(200), default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def called(self) -> str:
        """Return what tables call the outlet: its branch code, or its name where it has none."""
        return self.branch_code or self.name

    @property
    def latitude(self) -> float:
        """Return the latitude in degrees."""
        return self.latitude_e7 / 1e7

    @property
    def longitude(self) -> float:
        """Return the longitude in degrees."""
        return self.longitude_e7 / 1e7


triggers.immutable("outlet", "organisation_id", "created_at")
for _event, _moved in (("INSERT", "NEW.outlet_id IS NOT NULL"), ("UPDATE", "OLD.outlet_id IS DISTINCT FROM NEW.outlet_id")):
    triggers.guard(
        f"unit_at_own_outlet_{_event.lower()}",
        "unit",
        _event,
        f"{_moved} AND NEW.outlet_id IS NOT NULL"  # noqa: S608  # constants
        " AND NOT EXISTS (SELECT 1 FROM outlet o WHERE o.id = NEW.outlet_id AND o.organisation_id = NEW.organisation_id)",
        "unit: stands at an outlet of its own organisation",
    )
    triggers.guard(
        f"unit_at_open_outlet_{_event.lower()}",
        "unit",
        _event,
        f"{_moved} AND NEW.outlet_id IS NOT NULL"  # noqa: S608  # constants
        " AND EXISTS (SELECT 1 FROM outlet o WHERE o.id = NEW.outlet_id AND o.state = 'closed')",
        "unit: a closed outlet takes no unit",
    )
triggers.guard(
    "unit_works_at_open_outlet",
    "unit",
    "UPDATE",
    "OLD.state <> 'working' AND NEW.state = 'working' AND NEW.outlet_id IS NOT NULL"
    " AND EXISTS (SELECT 1 FROM outlet o WHERE o.id = NEW.outlet_id AND o.state = 'closed')",
    "unit: none works at a closed outlet",
)
triggers.guard(
    "outlet_closed_empty",
    "outlet",
    "UPDATE",
    "OLD.state <> 'closed' AND NEW.state = 'closed' AND EXISTS (SELECT 1 FROM unit u WHERE u.outlet_id = NEW.id AND u.state = 'working')",
    "outlet: none is closed while a working unit stands there",
)
recorded.protect(Outlet)
