"""What happens to accounts by time: temporary roles end. The worker calls these functions."""

from __future__ import annotations

from sqlalchemy import select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import User, UserRole, role_names
from sifilma.kernel.context import Context

# At most so many in one transaction.
AT_ONCE = 200


def end_roles(ctx: Context) -> int:
    """Write down that temporary roles have ended, each by an act of its own. Return their number. Raise ClockNotTrusted.

    They count no more from their end on, whether this has run or not (`identity.models.holds`). Sessions go on with the other roles.
    """
    over = select(UserRole).where(UserRole.until.is_(None), UserRole.ends_at <= ctx.due_until()).order_by(UserRole.ends_at).limit(AT_ONCE)
    rows = list(ctx.session.scalars(over.with_for_update(skip_locked=True)))
    for row in rows:
        user = ctx.session.get_one(User, row.user_id)
        row.until = row.ends_at
        ctx.session.flush()
        ctx.session.expire(user, ["roles"])
        roles = role_names(user.roles_at(ctx.now))
        record(ctx, Action.USER_ROLE_END, "user", user.id, organisation_id=user.organisation_id, role=row.role, roles=roles)
    return len(rows)
