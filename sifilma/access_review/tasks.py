"""What happens by time: unused accounts are marked, then disabled; reviews open, and lapse where nobody decided; temporary roles end.

The worker calls these functions. What they end fell due by a trusted clock; each raises ClockNotTrusted.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.access_review import service
from sifilma.access_review.models import AccessReview, AccessReviewLine, DormantMark
from sifilma.access_review.queries import can_be_missed, is_missable, reviewable, undecided, used_after
from sifilma.accounts.service import set_disabled
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import AccountState, LoginSession, Organisation, User, UserRole, role_names, role_set
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Context
from sifilma.sign_in.authority import record_change
from sifilma.sign_in.service import end_sessions

# At most so many in one transaction.
AT_ONCE = 100
REVIEWS_AT_ONCE = 20
DORMANT, UNCONFIRMED = "not signed in", "not confirmed"


def mark_dormant(ctx: Context, settings: Settings) -> int:
    """Mark active accounts that nobody has signed in to for long, and take marks from those that are used again. Return the new marks."""
    if not settings.dormant_days:
        return 0
    now = ctx.due_until()
    _take_marks(ctx.session)
    unused = select(User).where(
        User.state == AccountState.ACTIVE,
        ~used_after(now - timedelta(days=settings.dormant_days)),
        ~exists().where(DormantMark.user_id == User.id),
    )
    rows = list(ctx.session.scalars(unused.order_by(User.id).limit(AT_ONCE)))
    for user in rows:
        act = record(ctx, Action.USER_DORMANT, "user", user.id, organisation_id=user.organisation_id)
        ctx.session.add(DormantMark(user_id=user.id, marked_at=ctx.now, act_id=act.id))
    ctx.session.flush()
    return len(rows)


def _take_marks(session: Session) -> None:
    used = exists().where(
        LoginSession.user_id == DormantMark.user_id, LoginSession.otp_at.is_not(None), LoginSession.last_seen_at > DormantMark.marked_at
    )
    enabled = exists().where(User.id == DormantMark.user_id, User.active_since > DormantMark.marked_at)
    session.execute(delete(DormantMark).where(used | enabled).execution_options(synchronize_session=False))


def disable_dormant(ctx: Context, settings: Settings) -> int:
    """Disable accounts that are marked for longer than the days of grace. Return their number.

    The last head of an organisation and the last two user administrators stay; they become a task of the user administrators.
    """
    edge = ctx.due_until() - timedelta(days=settings.dormant_grace_days)
    _take_marks(ctx.session)
    marked = select(User).join(DormantMark, DormantMark.user_id == User.id)
    due = marked.where(User.state == AccountState.ACTIVE, DormantMark.marked_at <= edge, is_missable(ctx.now))
    count = 0
    for user in list(ctx.session.scalars(due.order_by(User.id).limit(AT_ONCE))):
        if can_be_missed(ctx, user):  # of two heads, both unused, the second has just become the last
            set_disabled(ctx, user, True, DORMANT)
            ctx.session.flush()
            count += 1
    return count


def open_reviews(ctx: Context, settings: Settings) -> int:
    """Open a review for organisations whose last one, or whose first account, is old enough. Return their number."""
    if not settings.review_days:
        return 0
    edge = ctx.due_until() - timedelta(days=settings.review_days)
    recent = exists().where(AccessReview.organisation_id == Organisation.id, AccessReview.opened_at > edge)
    is_open = exists().where(AccessReview.organisation_id == Organisation.id, AccessReview.closed_at.is_(None))
    old = exists().where(User.organisation_id == Organisation.id, User.created_at <= edge, reviewable(ctx.now))
    due = select(Organisation).where(~recent, ~is_open, old).order_by(Organisation.id).limit(REVIEWS_AT_ONCE)
    rows = list(ctx.session.scalars(due))
    for organisation in rows:
        open_review(ctx, settings, organisation)
    return len(rows)


def open_review(ctx: Context, settings: Settings, organisation: Organisation) -> AccessReview:
    """Open a review of an organisation's active accounts, other than those that nobody else could confirm."""
    due = ctx.now + timedelta(days=settings.review_open_days)
    review = AccessReview(
        organisation_id=organisation.id, opened_at=ctx.now, due_at=due, ends_at=due + timedelta(days=settings.review_grace_days)
    )
    ctx.session.add(review)
    ctx.session.flush()
    users = ctx.session.scalars(select(User.id).where(User.organisation_id == organisation.id, reviewable(ctx.now)).order_by(User.id)).all()
    ctx.session.add_all(AccessReviewLine(review_id=review.id, user_id=user_id) for user_id in users)
    ctx.session.flush()
    record(ctx, Action.ACCESS_REVIEW_OPEN, "access_review", review.id, organisation_id=organisation.id, count=len(users))
    return review


def close_reviews(ctx: Context) -> int:
    """Let lapse what nobody decided within the days of grace, and disable those accounts. Return the number of reviews that were closed.

    Heads are not disabled, and neither are the last two user administrators.
    """
    over = select(AccessReview).where(AccessReview.closed_at.is_(None), AccessReview.ends_at <= ctx.due_until())
    rows = list(ctx.session.scalars(over.order_by(AccessReview.ends_at).limit(REVIEWS_AT_ONCE).with_for_update(skip_locked=True)))
    for review in rows:
        _close(ctx, review)
    return len(rows)


def _close(ctx: Context, review: AccessReview) -> None:
    query = select(AccessReviewLine).where(AccessReviewLine.review_id == review.id, undecided()).order_by(AccessReviewLine.id)
    lines = list(ctx.session.scalars(query))
    act = record(ctx, Action.ACCESS_REVIEW_LAPSE, "access_review", review.id, organisation_id=review.organisation_id, count=len(lines))
    for line in lines:
        user = ctx.session.get_one(User, line.user_id)
        service.lapse(ctx, line, user, act)
        is_head = Role.HEAD in user.roles_at(ctx.now)
        if user.state == AccountState.ACTIVE and not is_head and can_be_missed(ctx, user):
            set_disabled(ctx, user, True, UNCONFIRMED)
            ctx.session.flush()
    service.close_if_done(ctx, review)


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
