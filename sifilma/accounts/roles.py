"""The roles of an account: given for good, or until a day to a deputy; which of them never meet in one person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from sifilma.audit.models import Action
from sifilma.identity.models import AccountState, LoginSession, Person, User, UserRole, role_names, role_set
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict
from sifilma.sign_in.authority import record_change
from sifilma.sign_in.service import end_sessions


def give_roles(ctx: Context, user: User, roles: frozenset[Role]) -> None:
    """End the roles that an account is to hold no more, and give it the new ones. A temporary role that stays keeps its end."""
    kept = set()
    for row in _given(ctx, user):
        if row.role in roles and (row.ends_at is None or row.ends_at > ctx.now):
            kept.add(row.role)
        else:
            row.until = min(ctx.now, row.ends_at or ctx.now)
    ctx.session.flush()  # before the new ones: a trigger refuses roles that exclude each other
    ctx.session.add_all(UserRole(user_id=user.id, role=str(role), since=ctx.now) for role in roles - kept)
    ctx.session.flush()
    ctx.session.expire(user, ["roles"])


def give_role_until(ctx: Context, user: User, role: Role, ends_at: datetime) -> None:
    """Give an account one more role, until a moment, and end its sessions. What it holds besides stays."""
    for row in _given(ctx, user):
        if row.role == role and row.ends_at is not None:
            row.until = min(ctx.now, row.ends_at)
    ctx.session.flush()
    ctx.session.add(UserRole(user_id=user.id, role=str(role), since=ctx.now, ends_at=ends_at))
    ctx.session.flush()
    ctx.session.expire(user, ["roles"])
    end_sessions(ctx, "roles changed", LoginSession.user_id == user.id)
    facts = {"role": str(role), "until": ends_at.isoformat()}
    record_change(ctx, Action.USER_DEPUTY, user, roles=role_names(role_set(user.roles)), **facts)


def _given(ctx: Context, user: User) -> Sequence[UserRole]:
    return ctx.session.scalars(select(UserRole).where(UserRole.user_id == user.id, UserRole.until.is_(None))).all()


def check_capabilities(ctx: Context, person: Person, roles: frozenset[Role], besides: UUID | None = None) -> None:
    """Raise Conflict (`capabilities`) if a person would hold both `user_admin` and `approver`, or `auditor` beside another role.

    All accounts of the person count that are not disabled, except `besides`. Triggers refuse the same (`sifilma/identity/models.py`).
    """
    # Two concurrent changes of one person's accounts would not see each other.
    ctx.session.execute(select(Person.id).where(Person.id == person.id).with_for_update(key_share=True))
    others = ctx.session.execute(select(User.id, User.roles).where(User.person_id == person.id, User.state != AccountState.DISABLED))
    held = roles.union(*(role_set(names) for user_id, names in others if user_id != besides))
    if {Role.USER_ADMIN, Role.APPROVER} <= held or (Role.AUDITOR in held and len(held) > 1):
        raise Conflict("These capabilities never meet in one person.", type="capabilities")
