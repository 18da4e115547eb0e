"""What happens to accounts by time: temporary roles end. The worker calls these functions."""

from __future__ import annotations

from sqlalchemy import select

from sifilma.audit.models import Action
from sifilma.identity.models import LoginSession, User, UserRole, role_names, role_set
from sifilma.kernel.context import Context
from sifilma.sign_in.authority import record_change
from sifilma.sign_in.service import end_sessions

# At most so many in one transaction.
AT_ONCE = 200


def end_roles(ctx: Context) -> int:
    """Write down that temporary roles have ended, each by an act of its own. Return their number. Raise ClockNotTrusted.

    They count no more from their end on, whether this has run or not (`identity.models.holds`). The account's sessions end with it.
    """
    over = select(UserRole).where(UserRole.until.is_(None), UserRole.ends_at <= ctx.due_until()).order_by(UserRole.ends_at).limit(AT_ONCE)
    rows = list(ctx.session.scalars(over.with_for_update(skip_locked=True)))
    for row in rows:
        user = ctx.session.get_one(User, row.user_id)
        row.until = row.ends_at
        ctx.session.flush()
        ctx.session.expire(user, ["roles"])
        end_sessions(ctx, "roles changed", LoginSession.user_id == user.id)
        record_change(ctx, Action.USER_ROLE_END, user, role=row.role, roles=role_names(role_set(user.roles)))
    return len(rows)
