"""Changes of accounts that one person proposes and another executes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.approvals import four_eyes
from sifilma.approvals.models import ProposalState, Proposed, proposal_cycle
from sifilma.kernel import triggers
from sifilma.kernel.db import Base, UtcDateTime
from sifilma.kernel.ids import uuid7
from sifilma.kernel.lifecycle import state_check

_PROPOSED = "state = 'proposed'"
USER_CHANGE = proposal_cycle("user_change", "the account is changed, or a one-time link is made")


class UserChange(Proposed, Base):
    """A proposed change of an account, which a second person executes or rejects.

    `change` is `invite`, `roles`, `deputy`, `disable` or `enable` for central accounts, or `factor` for the lost second factor of any
    account (`lost_factors`). `roles` are Role values, sorted, separated by spaces; they are empty unless `change` is `roles` or `deputy`.
    The role of a deputy is given until `ends_at`, which is empty otherwise.
    """

    __tablename__ = "user_change"
    __table_args__ = (
        # At most one proposal waits per account, also if two are made at once (`make_proposal` cannot see the other then).
        Index("uq_user_change_proposed", "user_id", unique=True, sqlite_where=text(_PROPOSED), postgresql_where=text(_PROPOSED)),
        CheckConstraint(state_check(ProposalState), name="state"),
        CheckConstraint("(change = 'deputy') = (ends_at IS NOT NULL)", name="ends"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    change: Mapped[str] = mapped_column(String(20))
    roles: Mapped[str] = mapped_column(String(100), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


four_eyes.protect_proposal("user_change", "user_id", "change", "roles", "ends_at")
triggers.guard(
    "user_change_not_own",
    "user_change",
    "UPDATE",
    "NEW.state = 'executed' AND EXISTS (SELECT 1 FROM user_account u WHERE u.id = NEW.user_id AND u.person_id = NEW.decided_by_person)",
    "user_change: nobody decides on their own account",
)
# An executed report removes the factor once: the invitation that follows in the same transaction uses the report up.
triggers.guard(
    "factor_given_up",
    "user_account",
    "UPDATE",
    "OLD.totp_sealed IS NOT NULL AND NEW.totp_sealed IS NULL AND NOT EXISTS (SELECT 1 FROM user_change c WHERE c.user_id = NEW.id"
    " AND c.change = 'factor' AND c.state = 'executed' AND NOT EXISTS (SELECT 1 FROM invitation i WHERE i.change_id = c.id))"
    " AND NOT EXISTS (SELECT 1 FROM person p WHERE p.id = NEW.person_id AND p.pseudonym_act_id IS NOT NULL)",
    "user_account: a second factor is given up by two persons",
)
triggers.guard(
    "invitation_agreed",
    "invitation",
    "INSERT",
    "NEW.change_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM user_change c WHERE c.id = NEW.change_id AND c.user_id = NEW.user_id"
    " AND c.change = 'factor' AND c.state = 'executed')",
    "invitation: of a proposal that was executed for this account",
)
