"""The proposal that a rejected place opens, and the suspension that follows from it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.approvals.models import Proposed
from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import Cause, LifeCycle, Transition, state_check

_OPEN = "state IN ('proposed', 'suspended')"


class SuspensionState(StrEnum):
    """States of a proposal to suspend a card for its place, and of the suspension."""

    PROPOSED = "proposed"
    SUSPENDED = "suspended"
    DROPPED = "dropped"
    ANSWERED = "answered"
    LIFTED = "lifted"
    CLOSED = "closed"


S = SuspensionState
OPEN = (S.PROPOSED, S.SUSPENDED)
PLACE_SUSPENSION = LifeCycle(
    "place_suspension",
    "place_suspension",
    initial=[S.PROPOSED],
    transitions=[
        Transition(S.PROPOSED, S.SUSPENDED, entails="a second person decided, or the deadline passed: the card is suspended"),
        Transition(S.PROPOSED, S.DROPPED, entails="a second person decided: the card stays as it is"),
        *(Transition(s, S.ANSWERED, entails="the card was relocated to an accepted place, and is active") for s in OPEN),
        Transition(S.SUSPENDED, S.LIFTED, entails="card and manifest are as they were"),
        *(Transition(s, S.CLOSED, Cause.SYSTEM, "the manifest of that place ended") for s in OPEN),
    ],
)


class PlaceSuspension(Proposed, Base):
    """A proposal to suspend a card because the place of its activation was rejected.

    Without a decision the worker suspends the card after `due_at`. `decided_by_person` then stays NULL. `suspension_id` is the cause that
    was opened on the card, `organisation_id` holds it. `lifted_by_person` ended the suspension; it is NULL if a relocation answered it.
    """

    __tablename__ = "place_suspension"
    __table_args__ = (
        CheckConstraint(state_check(SuspensionState), name="state"),
        CheckConstraint("state <> 'suspended' OR suspension_id IS NOT NULL", name="suspended"),
        Index("uq_place_suspension_open", "card_id", unique=True, sqlite_where=text(_OPEN), postgresql_where=text(_OPEN)),
        Index(None, "card_id", "id"),
        Index(None, "organisation_id", "id"),
        Index(None, "state", "due_at"),
        Index(None, "due_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    card_id: Mapped[UUID] = mapped_column(ForeignKey("card.id"))
    activation_id: Mapped[UUID] = mapped_column(ForeignKey("activation.id"), unique=True)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    reason: Mapped[str] = mapped_column(Text)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    suspension_id: Mapped[UUID | None] = mapped_column(ForeignKey("card_suspension.id"), unique=True)
    lifted_by_person: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))


triggers.immutable(
    "place_suspension", "card_id", "activation_id", "organisation_id", "reason", "due_at", "proposed_by_person", "proposed_at"
)
triggers.guard(
    "place_suspension_rejected_place",
    "place_suspension",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM activation a WHERE a.id = NEW.activation_id AND a.card_id = NEW.card_id AND a.review_state = 'rejected'"
    " AND a.organisation_id = NEW.organisation_id AND a.reviewed_by = NEW.proposed_by_person)",
    "place_suspension: opened by whoever rejected the place of this card",
)
triggers.guard(
    "place_suspension_second_person",
    "place_suspension",
    "UPDATE",
    "(OLD.state = 'proposed' AND NEW.state IN ('suspended', 'dropped') AND (NEW.decided_by_person = NEW.proposed_by_person"
    " OR (NEW.decided_by_person IS NULL AND (NEW.state = 'dropped' OR NEW.changed_at < OLD.due_at))))"
    " OR (NEW.state = 'lifted' AND (NEW.lifted_by_person IS NULL OR NEW.lifted_by_person = NEW.proposed_by_person))",
    "place_suspension: decided by a second person, or by its deadline",
)
triggers.guard(
    "place_suspension_decided",
    "place_suspension",
    "UPDATE",
    "OLD.state NOT IN ('proposed', 'suspended') OR (OLD.state = 'suspended'"
    " AND (OLD.decided_by_person IS DISTINCT FROM NEW.decided_by_person OR OLD.suspension_id IS DISTINCT FROM NEW.suspension_id))",
    "place_suspension: what is decided stays",
)
