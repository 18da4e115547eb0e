"""The table of work that somebody has taken. A row stands while they have it; what was before is in the record of acts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from sifilma.identity.models import holds_sql
from sifilma.kernel import triggers
from sifilma.kernel.actor import Role
from sifilma.kernel.db import Base, UtcDateTime

KINDS = (
    "personalisation_request", "activation_request", "destruction", "manifest", "reference_change", "model_case", "activation",
)  # fmt: skip
"""The kinds of objects that wait for operators or approvers; a manifest waits while its revocation is proposed, an activation for a look
at its place."""
ROLES = (Role.APPROVER, Role.OPERATOR)


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


class Assignment(Base):
    """Who has the work on one object, and in which role. It counts while their account is active and holds that role (`queries.standing`).

    `act_id` names the entry of the act by which they got it.
    """

    __tablename__ = "assignment"
    __table_args__ = (
        CheckConstraint(_one_of("object_kind", KINDS), name="object_kind"),
        CheckConstraint(_one_of("role", tuple(role.value for role in ROLES)), name="role"),
    )

    object_id: Mapped[UUID] = mapped_column(primary_key=True)
    object_kind: Mapped[str] = mapped_column(String(40))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("user_account.id"), index=True)
    role: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    act_id: Mapped[UUID] = mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))


_HELD = " OR ".join(f"(NEW.role = '{role.value}' AND {holds_sql('u', role, 'NEW.at')})" for role in ROLES)
_OF_DIRECTORATE = "SELECT 1 FROM user_account u JOIN organisation o ON o.id = u.organisation_id AND o.kind = 'directorate'"
_UNFIT = f"NOT EXISTS ({_OF_DIRECTORATE} WHERE u.id = NEW.user_id AND u.state = 'active' AND ({_HELD}))"  # constants
triggers.guard("assignment_holder", "assignment", "INSERT", _UNFIT, "assignment: to an account of the directorate that holds the role")
triggers.guard("assignment_new_holder", "assignment", "UPDATE", _UNFIT, "assignment: to an account of the directorate that holds the role")
triggers.guard(
    "assignment_frozen",
    "assignment",
    "UPDATE",
    "OLD.object_id IS DISTINCT FROM NEW.object_id OR OLD.object_kind IS DISTINCT FROM NEW.object_kind"
    " OR NOT (OLD.act_id IS DISTINCT FROM NEW.act_id)",
    "assignment: another person has it by an act of its own, and it is of one object",
)
