"""What is read of accounts, keys and reviews, within the scope of the actor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from sifilma.access_review.models import AccessReview, AccessReviewLine, DormantMark
from sifilma.identity.models import AccountState, ApiKey, LoginSession, Organisation, Person, User, UserRole, counts, holds
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.paging import Listing


@dataclass(frozen=True)
class Wanted:
    """The filters of the list of accounts. Empty texts do not filter; `name` and `organisation` are parts of names, ignoring case."""

    name: str = ""
    organisation: str = ""
    role: str = ""
    state: str = ""
    dormant: bool = False


def list_accounts(ctx: Context, wanted: Wanted = Wanted()) -> Listing[User]:  # frozen
    """Return the accounts of which the actor may see who may what."""
    query = scoped(select(User), ctx.actor, Operation.ACCESS_SEE, User.organisation_id)
    if wanted.name:
        people = select(Person.id).where(Person.name.icontains(wanted.name, autoescape=True))
        query = query.where(or_(User.username.icontains(wanted.name, autoescape=True), User.person_id.in_(people)))
    if wanted.organisation:
        query = query.where(User.organisation_id.in_(_named(wanted.organisation)))
    if wanted.role:
        query = query.where(exists().where(UserRole.user_id == User.id, UserRole.role == wanted.role, counts(ctx.now)))
    if wanted.state:
        query = query.where(User.state == wanted.state)
    if wanted.dormant:
        query = query.where(exists().where(DormantMark.user_id == User.id))
    return query, User.id


def list_keys(ctx: Context, organisation: str = "", state: str = "") -> Listing[ApiKey]:
    """Return the API keys the actor may see, by a part of the organisation's name and `active` or `revoked`."""
    query = scoped(select(ApiKey), ctx.actor, Operation.ACCESS_SEE, ApiKey.organisation_id)
    if organisation:
        query = query.where(ApiKey.organisation_id.in_(_named(organisation)))
    if state:
        query = query.where(ApiKey.revoked_at.is_(None) if state == "active" else ApiKey.revoked_at.is_not(None))
    return query, ApiKey.id


def _named(part: str) -> Select[UUID]:
    return select(Organisation.id).where(Organisation.name.icontains(part, autoescape=True))


def roles_of(ctx: Context, user_ids: Sequence[UUID]) -> dict[UUID, list[UserRole]]:
    """Return the roles that count now, with the moments since and until when, by account."""
    rows = ctx.session.scalars(select(UserRole).where(UserRole.user_id.in_(user_ids), counts(ctx.now)).order_by(UserRole.since))
    found: dict[UUID, list[UserRole]] = {}
    for row in rows:
        found.setdefault(row.user_id, []).append(row)
    return found


def marks_of(ctx: Context, user_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Return since when accounts are marked as unused."""
    query = select(DormantMark.user_id, DormantMark.marked_at).where(DormantMark.user_id.in_(user_ids))
    return dict(ctx.session.execute(query).all())


def makers_of(ctx: Context, keys: Sequence[ApiKey]) -> dict[UUID, tuple[str, str]]:
    """Return the names of organisation and creator of keys, by key; an empty name where a command made it."""
    query = (
        select(ApiKey.id, Organisation.name, func.coalesce(Person.name, ""))
        .join(Organisation, Organisation.id == ApiKey.organisation_id)
        .outerjoin(User, User.id == ApiKey.created_by)
        .outerjoin(Person, Person.id == User.person_id)
        .where(ApiKey.id.in_([key.id for key in keys]))
    )
    return {key_id: (organisation, creator) for key_id, organisation, creator in ctx.session.execute(query)}


# --- reviews ---------------------------------------------------------------------------------------------------------


def reviews_query(ctx: Context, operation: Operation = Operation.ACCESS_SEE) -> Select[AccessReview]:
    """Return a query of the reviews the actor may see."""
    return scoped(select(AccessReview), ctx.actor, operation, AccessReview.organisation_id)


def list_reviews(ctx: Context, organisation: str = "", state: str = "") -> Listing[AccessReview]:
    """Return reviews by a part of the organisation's name and a state: `open`, `late` or `closed`."""
    query = reviews_query(ctx)
    if organisation:
        query = query.where(AccessReview.organisation_id.in_(_named(organisation)))
    if state:
        query = query.where(STATES[state](ctx.now) if state in STATES else AccessReview.id.is_(None))
    return query, AccessReview.id


def _is_open(now: datetime) -> ColumnElement[bool]:
    return and_(AccessReview.closed_at.is_(None), AccessReview.due_at > now)


def is_late(now: datetime) -> ColumnElement[bool]:
    """Return the condition of reviews that are open although they should be done."""
    return and_(AccessReview.closed_at.is_(None), AccessReview.due_at <= now)


def _is_closed(_now: datetime) -> ColumnElement[bool]:
    return AccessReview.closed_at.is_not(None)


STATES: dict[str, Callable[[datetime], ColumnElement[bool]]] = {"open": _is_open, "late": is_late, "closed": _is_closed}


def state_of(review: AccessReview, now: datetime) -> str:
    """Return the state of a review, as `list_reviews` names it."""
    return "closed" if review.closed_at is not None else "late" if review.due_at <= now else "open"


def get_review(ctx: Context, review_id: UUID, operation: Operation = Operation.ACCESS_SEE) -> AccessReview:
    """Return a review. Raise NotFound if it is not in the scope of the actor."""
    found = ctx.session.scalars(reviews_query(ctx, operation).where(AccessReview.id == review_id)).first()
    if found is None:
        raise NotFound()
    return found


def counts_of(ctx: Context, review_ids: Sequence[UUID]) -> dict[UUID, dict[str | None, int]]:
    """Return how many accounts of reviews have which outcome; None: not decided yet."""
    query = (
        select(AccessReviewLine.review_id, AccessReviewLine.outcome, func.count())
        .where(AccessReviewLine.review_id.in_(review_ids))
        .group_by(AccessReviewLine.review_id, AccessReviewLine.outcome)
    )
    found: dict[UUID, dict[str | None, int]] = {}
    for review_id, outcome, number in ctx.session.execute(query):
        found.setdefault(review_id, {})[outcome] = number
    return found


def list_lines(review: AccessReview) -> Listing[AccessReviewLine]:
    """Return the accounts in a review that was read within the scope of the actor."""
    return select(AccessReviewLine).where(AccessReviewLine.review_id == review.id), AccessReviewLine.id


def undecided() -> ColumnElement[bool]:
    """Return the condition of lines that nobody has decided."""
    return AccessReviewLine.outcome.is_(None)


def to_decide_query(ctx: Context) -> Select[AccessReview]:
    """Return the open reviews of the actor's organisation with an account that the actor can decide on: not their own."""
    waits = exists().where(
        AccessReviewLine.review_id == AccessReview.id,
        undecided(),
        User.id == AccessReviewLine.user_id,
        User.person_id != ctx.actor.person_id,
    )
    mine = reviews_query(ctx, Operation.ACCESS_REVIEW).where(AccessReview.organisation_id == ctx.actor.organisation_id)
    return mine.where(AccessReview.closed_at.is_(None), waits.correlate(AccessReview))


# --- who can be missed, and who can be decided on --------------------------------------------------------------------

LEAST_ADMINISTRATORS = 2
"""User administrators that stay whatever happens by time: one proposes, another executes."""
# Made once: to make an alias takes longer than the rest of its condition.
_other, _admin, _decider, _home = aliased(User), aliased(User), aliased(User), aliased(Organisation)


def is_missable(now: datetime) -> ColumnElement[bool]:
    """Return the condition of accounts (User) that can be disabled without a person.

    The last active head of an organisation and the last two user administrators cannot: nobody could enable anybody again.
    """
    heads = exists().where(
        _other.organisation_id == User.organisation_id,
        _other.id != User.id,
        _other.state == AccountState.ACTIVE,
        holds(_other, Role.HEAD, now),
    )
    administrators = (
        select(func.count())
        .select_from(_admin)
        .where(_admin.id != User.id, _admin.state == AccountState.ACTIVE, holds(_admin, Role.USER_ADMIN, now))
        .correlate(User)
        .scalar_subquery()
    )
    return and_(
        or_(~holds(User, Role.HEAD, now), heads.correlate(User)),
        or_(~holds(User, Role.USER_ADMIN, now), administrators >= LEAST_ADMINISTRATORS),
    )


def can_be_missed(ctx: Context, user: User) -> bool:
    """Return whether this account can be disabled without a person at this moment."""
    return ctx.session.scalar(select(User.id).where(User.id == user.id, is_missable(ctx.now))) is not None


def reviewable(now: datetime) -> ColumnElement[bool]:
    """Return the condition of accounts (User) that somebody else can confirm: an active head, of central people a user administrator."""
    may = or_(
        holds(_decider, Role.HEAD, now),
        and_(_home.kind == OrganisationKind.DIRECTORATE, holds(_decider, Role.USER_ADMIN, now)),
    )
    found = exists().where(
        _home.id == User.organisation_id,
        _decider.organisation_id == User.organisation_id,
        _decider.person_id != User.person_id,
        _decider.state == AccountState.ACTIVE,
        may,
    )
    return and_(User.state == AccountState.ACTIVE, found.correlate(User))


def used_after(moment: datetime) -> ColumnElement[bool]:
    """Return the condition of accounts (User) that somebody was signed in to after a moment, or that were made or enabled since."""
    seen = exists().where(LoginSession.user_id == User.id, LoginSession.otp_at.is_not(None), LoginSession.last_seen_at > moment)
    return or_(seen, func.coalesce(User.active_since, User.created_at) > moment)
