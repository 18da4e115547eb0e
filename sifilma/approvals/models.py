"""Columns that packages share: of submitted objects, of approvals, of requests with a letter, and of proposals."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from sifilma.approvals.letters import Lettered
from sifilma.kernel.db import UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import LifeCycle, Stateful, Transition, state_check


class Submitted:
    """Columns of an object that one person submits and others approve. `digest` is the SHA-256 (hex) of the submitted content."""

    digest: Mapped[str | None] = mapped_column(String(64))
    required_approvals: Mapped[int] = mapped_column(Integer, default=1)
    submitted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @declared_attr
    @classmethod
    def submitted_by_person(cls) -> Mapped[UUID | None]:
        """The person who submitted. They may not approve."""
        return mapped_column(ForeignKey("person.id"))

    @declared_attr
    @classmethod
    def submitted_by_user(cls) -> Mapped[UUID | None]:
        """The account the person used."""
        return mapped_column(ForeignKey("user_account.id"))


class Approval:
    """Columns of one approval. `digest` is that of the content which the approver saw."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    digest: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(UtcDateTime)

    @declared_attr
    @classmethod
    def person_id(cls) -> Mapped[UUID]:
        """The person who approved."""
        return mapped_column(ForeignKey("person.id"))

    @declared_attr
    @classmethod
    def user_id(cls) -> Mapped[UUID]:
        """The account the person used."""
        return mapped_column(ForeignKey("user_account.id"))

    @declared_attr
    @classmethod
    def act_id(cls) -> Mapped[UUID]:
        """The audit entry of the approval."""
        return mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))


class Requested(Lettered, Submitted, Stateful):
    """Columns of both kinds of request (personalisation and activation): a letter asks for cards or machines of one function."""

    function: Mapped[str] = mapped_column(String(2))
    notes: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


def request_checks(states: type[StrEnum]) -> tuple[CheckConstraint, ...]:
    """Return the constraints of both kinds of request. RW needs two approvers; a submitted one has a digest (docs/domain.md, rule 1)."""
    return (
        CheckConstraint(state_check(states), name="state"),
        CheckConstraint("function IN ('R', 'RW')", name="function"),
        CheckConstraint("function = 'R' OR required_approvals >= 2", name="two_approvers"),
        CheckConstraint("state IN ('draft', 'returned', 'cancelled') OR digest IS NOT NULL", name="digest"),
    )


class ProposalState(StrEnum):
    """States of a proposal. A proposal that its proposer withdraws is `rejected` as well."""

    PROPOSED = "proposed"
    EXECUTED = "executed"
    REJECTED = "rejected"


def proposal_cycle(kind: str, entails: str) -> LifeCycle:
    """Return the life cycle of a kind of proposal. `kind` is also its table; `entails` says what an execution changes."""
    return LifeCycle(
        kind,
        kind,
        initial=[ProposalState.PROPOSED],
        transitions=[
            Transition(ProposalState.PROPOSED, ProposalState.EXECUTED, entails=entails),
            Transition(ProposalState.PROPOSED, ProposalState.REJECTED),
        ],
    )


class Proposed(Stateful):
    """Columns of a proposal. `decided_by_person` executed or rejected it; it is NULL if the proposal waits or has lapsed."""

    proposed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @declared_attr
    @classmethod
    def proposed_by_person(cls) -> Mapped[UUID]:
        """The person who proposed. They may not execute."""
        return mapped_column(ForeignKey("person.id"))

    @declared_attr
    @classmethod
    def decided_by_person(cls) -> Mapped[UUID | None]:
        """The person who decided."""
        return mapped_column(ForeignKey("person.id"))
