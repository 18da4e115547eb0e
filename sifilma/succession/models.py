"""A head who follows another by decree, and the open work that passed on with that."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from sifilma.accounts.models import UserChange, administered_sql
from sifilma.audit.recorded import RecordedOnce, protect
from sifilma.identity.models import Organisation, User
from sifilma.kernel import triggers
from sifilma.kernel.db import Base

KINDS = ("personalisation_request", "activation_request", "handover", "destruction")
"""The kinds of objects whose word goes to one person: who submitted, issued or wrote. Everything else is the organisation's."""


class Former(StrEnum):
    """What becomes of the head who is followed: a disabled account, an ordinary one, or a head still, beside an acting one."""

    DISABLED = "disabled"
    STAFF = "staff"
    HEAD = "head"


class HeadSuccession(RecordedOnce, Base):
    """The facts of a proposal (`UserChange` with the same id) that one account follows another as head of an organisation.

    `outgoing_id` is None where there was nobody to follow. `is_invited`: the account was made for this proposal, and is disabled if the
    proposal is rejected. An acting head's proposal has `UserChange.ends_at`.
    """

    __tablename__ = "head_succession"
    __recorded__ = (
        "organisation_id", "outgoing_id", "successor_id", "former", "is_invited", "decree_number", "decree_date", "decree_document_id",
    )  # fmt: skip
    __table_args__ = (
        CheckConstraint("former IN ({})".format(", ".join(f"'{one.value}'" for one in Former)), name="former"),
        CheckConstraint("outgoing_id IS NULL OR outgoing_id <> successor_id", name="two_accounts"),
        CheckConstraint("former <> 'head' OR outgoing_id IS NOT NULL", name="stays"),
        Index(None, "organisation_id", "id"),
        Index(None, "decree_date", "id"),
    )

    id: Mapped[UUID] = mapped_column(ForeignKey("user_change.id"), primary_key=True)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"))
    outgoing_id: Mapped[UUID | None] = mapped_column(ForeignKey("user_account.id"))
    successor_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"))
    former: Mapped[str] = mapped_column(String(10))
    is_invited: Mapped[bool] = mapped_column(Boolean)
    decree_number: Mapped[str] = mapped_column(String(100))
    decree_date: Mapped[date]
    decree_document_id: Mapped[UUID] = mapped_column(ForeignKey("document.id"))

    change: Mapped[UserChange] = relationship(lazy="joined")
    organisation: Mapped[Organisation] = relationship(lazy="joined")
    outgoing: Mapped[User | None] = relationship(foreign_keys=[outgoing_id])
    successor: Mapped[User] = relationship(foreign_keys=[successor_id])


class PassedWork(Base):
    """One open object that passed on. `user_id` is the account whose work it was first: who submitted or issued it, or wrote about it."""

    __tablename__ = "passed_work"
    __table_args__ = (
        CheckConstraint(f"object_kind IN ({', '.join(repr(kind) for kind in KINDS)})", name="object_kind"),
        Index(None, "object_kind", "object_id"),
    )

    succession_id: Mapped[UUID] = mapped_column(ForeignKey("head_succession.id"), primary_key=True)
    object_kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    object_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), primary_key=True)


# --- what the database refuses ---------------------------------------------------------------------------------------


def outgoing_sql(person: str, change: str) -> str:
    """Return the SQL condition that a person is the head who is followed by the proposal with this id."""
    return (
        "EXISTS (SELECT 1 FROM head_succession s JOIN user_account o ON o.id = s.outgoing_id"  # noqa: S608  # columns and aliases
        f" WHERE s.id = {change} AND o.person_id = {person})"
    )


def parties_sql(change: str) -> str:
    """Return the SQL condition that two user administrators, or the outgoing head and one of them, proposed and decided a succession.

    `change` is the alias of the row of `user_change`. The successor is neither of the two.
    """
    proposer, decider = f"{change}.proposed_by_person", f"{change}.decided_by_person"
    by_two = f"{administered_sql(decider, change)} AND ({administered_sql(proposer, change)} OR {outgoing_sql(proposer, f'{change}.id')})"
    by_head = f"{outgoing_sql(decider, f'{change}.id')} AND {administered_sql(proposer, change)}"
    successor = f"EXISTS (SELECT 1 FROM user_account n WHERE n.id = {change}.user_id AND n.person_id IN ({proposer}, {decider}))"  # noqa: S608
    return f"(({by_two}) OR ({by_head})) AND NOT {successor}"


protect(HeadSuccession)
triggers.immutable("head_succession")
triggers.guard(
    "head_succession_of",
    "head_succession",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM user_change c JOIN user_account n ON n.id = c.user_id WHERE c.id = NEW.id AND c.change = 'succession'"
    " AND c.state = 'proposed' AND n.id = NEW.successor_id AND n.organisation_id = NEW.organisation_id)"
    " OR (NEW.outgoing_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM user_account o WHERE o.id = NEW.outgoing_id"
    " AND o.organisation_id = NEW.organisation_id))",
    "head_succession: of a waiting proposal, within one organisation",
)
triggers.guard(
    "user_change_succession",
    "user_change",
    "UPDATE",
    "NEW.state = 'executed' AND NEW.change = 'succession' AND"  # noqa: S608  # constants
    f" NOT (EXISTS (SELECT 1 FROM head_succession s WHERE s.id = NEW.id) AND {parties_sql('NEW')})",
    "user_change: a head follows by two user administrators, or by the outgoing head and one",
)
triggers.immutable("passed_work")
triggers.guard(
    "passed_work_by_act",
    "passed_work",
    "INSERT",
    "NOT EXISTS (SELECT 1 FROM user_change c WHERE c.id = NEW.succession_id AND c.state = 'executed')",
    "passed_work: passes on with an executed succession",
)
