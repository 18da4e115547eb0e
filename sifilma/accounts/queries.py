"""What an actor may see of accounts, and of the proposals that wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, func, or_, select
from sqlalchemy.orm import aliased

from sifilma.accounts.models import UserChange
from sifilma.approvals.models import ProposalState
from sifilma.audit.models import AuditEntry
from sifilma.identity.models import AccountState, Invitation, LoginSession, Organisation, Person, User
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.paging import Listing

CHOICES = 20


def users_query(ctx: Context) -> Select[User]:
    """The accounts the actor may see."""
    return scoped(select(User), ctx.actor, Operation.USERS_SEE, User.organisation_id)


def list_users(ctx: Context, name: str = "", state: str = "", organisation: str = "") -> Listing[User]:
    """Accounts by a part of the person's name or of the user name, by state, and by a part of the organisation's name."""
    query = users_query(ctx)
    if name:
        people = select(Person.id).where(Person.name.icontains(name, autoescape=True))
        query = query.where(or_(User.username.icontains(name, autoescape=True), User.person_id.in_(people)))
    if organisation:
        named = select(Organisation.id).where(Organisation.name.icontains(organisation, autoescape=True))
        query = query.where(User.organisation_id.in_(named))
    return (query.where(User.state == state) if state else query), User.id


def get_visible_user(ctx: Context, user_id: UUID) -> User:
    """An account the actor may see; NotFound for any other."""
    found = ctx.session.scalars(users_query(ctx).where(User.id == user_id)).first()
    if found is None:
        raise NotFound()
    return found


def last_seen(ctx: Context, user_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """When somebody last did something in a session, by account."""
    query = select(LoginSession.user_id, func.max(LoginSession.last_seen_at)).where(
        LoginSession.user_id.in_(user_ids), LoginSession.otp_at.is_not(None)
    )
    return dict(ctx.session.execute(query.group_by(LoginSession.user_id)).all())


def open_link_until(ctx: Context, user: User) -> datetime | None:
    """When the account's open invitation lapses; None if there is none."""
    query = select(func.max(Invitation.expires_at)).where(
        Invitation.user_id == user.id, Invitation.used_at.is_(None), Invitation.expires_at >= ctx.now
    )
    return ctx.session.scalar(query)


def history_of(ctx: Context, user: User) -> list[tuple[AuditEntry, str | None]]:
    """What was done with an account, newest first, and by whom: invitations, roles, proposals; not each sign-in."""
    proposals = ctx.session.scalars(select(UserChange.id).where(UserChange.user_id == user.id))
    query = (
        select(AuditEntry, Person.name)
        .outerjoin(Person, Person.id == AuditEntry.person_id)
        .where(AuditEntry.object_kind.in_(("user", "user_change")), AuditEntry.object_id.in_([str(user.id), *map(str, proposals)]))
        .where(AuditEntry.action.startswith("user."))
        .order_by(AuditEntry.id.desc())
        .limit(50)
    )
    return [(entry, name) for entry, name in ctx.session.execute(query)]


def find_organisation(ctx: Context, organisation_id: str) -> Organisation | None:
    """The organisation somebody named in an address."""
    try:
        return ctx.session.get(Organisation, UUID(organisation_id))
    except ValueError:
        return None


def organisations_without_head(ctx: Context, text: str) -> list[Organisation]:
    """Where a first head may be invited: organisations that have none, by a part of the name."""
    heads = exists().where(User.organisation_id == Organisation.id, User.roles.like("%head%"), User.state != AccountState.DISABLED)
    query = select(Organisation).where(Organisation.kind != OrganisationKind.DIRECTORATE, ~heads)
    if text:
        query = query.where(Organisation.name.icontains(text, autoescape=True))
    return list(ctx.session.scalars(query.order_by(Organisation.name).limit(CHOICES)))


def open_changes(ctx: Context, *more: Any) -> list[Any]:
    """What waits for a second person, oldest first: the proposal, its account, who proposed, and more columns."""
    proposer = aliased(Person)
    query: Any = (
        select(UserChange, User, proposer.name, *more)
        .join(User, User.id == UserChange.user_id)
        .join(proposer, proposer.id == UserChange.proposed_by_person)
        .where(UserChange.state == ProposalState.PROPOSED)
    )
    seen: Select[Any] = scoped(query, ctx.actor, Operation.USERS_SEE, User.organisation_id)
    return list(ctx.session.execute(seen.order_by(UserChange.id)))
