"""Queries of accounts and of waiting proposals within the scope of the actor."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, bindparam, exists, func, or_, select, true
from sqlalchemy.orm import aliased

from sifilma.accounts.models import PERSON, UserChange
from sifilma.accounts.service import identity_of
from sifilma.approvals.models import ProposalState
from sifilma.audit.models import AuditEntry
from sifilma.identity.fields import id_number
from sifilma.identity.models import AccountState, IdKind, Invitation, LoginSession, Organisation, Person, User, holds
from sifilma.identity.permissions import Operation, grants
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.paging import Listing
from sifilma.kernel.statements.finders import Arm, Finder, Named, like, pattern

CHOICES = 20
# Made once: to make an alias takes longer than the rest of its condition.
_mine, _other, _proposer = aliased(User), aliased(User), aliased(Person)


def users_query(ctx: Context) -> Select[User]:
    """Return a query of the accounts the actor may see."""
    return scoped(select(User), ctx.actor, Operation.USERS_SEE, User.organisation_id)


FINDER = Finder(
    Arm(User.id, like(User.username), lambda text: pattern(text.casefold())),
    Arm(User.id, Named(User.person_id, Person.id, Person.name), pattern),
)
"""What finds a part of a user name or of a person's name."""


def list_users(ctx: Context, name: str = "", state: str = "", organisation: str = "") -> Listing[User]:
    """Return the accounts the actor may see; `name` and `organisation` match parts of names, ignoring case. Empty texts do not filter."""
    query = users_query(ctx)
    if name:
        query = query.where(FINDER.fitting(name))
    if organisation:
        named = select(Organisation.id).where(Organisation.name.icontains(organisation, autoescape=True))
        query = query.where(User.organisation_id.in_(named))
    return (query.where(User.state == state) if state else query), User.id


def named_users_query(ctx: Context) -> Select[User]:
    """Return a query of the accounts the actor may see with the values of `names_of`, of a person or of who they claim to be."""
    identities = [bindparam(kind.value, type_=String) for kind in IdKind]
    people = select(Person.id).where(or_(*(column == one for one in identities for column in (Person.identity, Person.claims))))
    return users_query(ctx).where(or_(User.username == bindparam("username", type_=String), User.person_id.in_(people)))


def names_of(ctx: Context, text: str) -> dict[str, str | None]:
    """Return what a text names: the `username`, and by each kind of id number whose it is. What is no number of a kind is None.

    An employee number is that of an employee of the actor's organisation.
    """
    found: dict[str, str | None] = {"username": text.casefold(), **dict.fromkeys(IdKind)}
    if (own := ctx.actor.organisation_id) is not None:
        for kind in IdKind:
            with suppress(ValueError):
                found[kind] = identity_of(own, kind, id_number(kind, text))
    return found


def get_visible_user(ctx: Context, user_id: UUID) -> User:
    """Return an account. Raise NotFound if it is not in the scope of the actor."""
    found = ctx.session.scalars(users_query(ctx).where(User.id == user_id)).first()
    if found is None:
        raise NotFound()
    return found


def last_seen(ctx: Context, user_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Return the time of the last request in a session, by account. Sessions without a second factor do not count."""
    query = select(LoginSession.user_id, func.max(LoginSession.last_seen_at)).where(
        LoginSession.user_id.in_(user_ids), LoginSession.otp_at.is_not(None)
    )
    return dict(ctx.session.execute(query.group_by(LoginSession.user_id)).all())


def open_link_until(ctx: Context, user: User) -> datetime | None:
    """Return when the account's open invitation lapses, or None if there is none."""
    query = select(func.max(Invitation.expires_at)).where(
        Invitation.user_id == user.id, Invitation.used_at.is_(None), Invitation.expires_at >= ctx.now
    )
    return ctx.session.scalar(query)


def history_of(ctx: Context, user: User) -> list[tuple[AuditEntry, str | None]]:
    """Return the last 50 audit entries about an account with the name of who acted, newest first.

    They are about invitations, roles, states and proposals; entries of sessions (`session.…`) are left out.
    """
    proposals = ctx.session.scalars(select(UserChange.id).where(UserChange.user_id == user.id, _is_shown(ctx)))
    query = (
        select(AuditEntry, Person.name)
        .outerjoin(Person, Person.id == AuditEntry.person_id)
        .where(AuditEntry.object_kind.in_(("user", "user_change")), AuditEntry.object_id.in_([str(user.id), *map(str, proposals)]))
        .where(AuditEntry.action.startswith("user."))
        .order_by(AuditEntry.id.desc())
        .limit(50)
    )
    return [(entry, name) for entry, name in ctx.session.execute(query)]


def _is_shown(ctx: Context) -> ColumnElement[bool]:
    """Return the condition of proposals that the actor may know of: that an invited person is known is for user administrators alone."""
    return true() if grants(ctx.actor, Operation.USERS_CENTRAL) else UserChange.change != PERSON


def list_clashes(ctx: Context) -> list[tuple[User, User]]:
    """Return pairs of accounts whose persons have the same id number in two spellings, which is likely one human being twice.

    Accounts that are disabled do not count: disabling one of the two settles the pair.
    """
    spelling = func.upper(Person.identity)
    counted = select(Person.id, spelling.label("spelling"), func.count().over(partition_by=spelling).label("times")).subquery()
    # First the few that occur twice: comparing each person with each other takes minutes where there are thousands.
    twice = select(counted.c.id, counted.c.spelling).where(counted.c.times > 1).cte("twice")
    mine, other, first, second = _mine, _other, twice.alias("first"), twice.alias("second")
    pairs = (
        select(mine, other)
        .join(first, first.c.id == mine.person_id)
        .join(second, (second.c.spelling == first.c.spelling) & (second.c.id > first.c.id))
        .join(other, other.person_id == second.c.id)
        .where(mine.state != AccountState.DISABLED, other.state != AccountState.DISABLED)
        .order_by(mine.id, other.id)
    )
    return [(one, two) for one, two in ctx.session.execute(pairs)]


def find_organisation(ctx: Context, organisation_id: str) -> Organisation | None:
    """Return the organisation whose id was given in a URL or a form, or None if it is unknown or no UUID."""
    try:
        return ctx.session.get(Organisation, UUID(organisation_id))
    except ValueError:
        return None


def organisations_without_head(ctx: Context, text: str) -> list[Organisation]:
    """Return up to 20 organisations that have no head, other than the directorate, by a part of the name."""
    heads = exists().where(User.organisation_id == Organisation.id, holds(User, Role.HEAD, ctx.now), User.state != AccountState.DISABLED)
    query = select(Organisation).where(Organisation.kind != OrganisationKind.DIRECTORATE, ~heads)
    if text:
        query = query.where(Organisation.name.icontains(text, autoescape=True))
    return list(ctx.session.scalars(query.order_by(Organisation.name).limit(CHOICES)))


def open_changes(ctx: Context, *more: Any) -> list[Any]:
    """Return the waiting proposals the actor may see, oldest first.

    Each row holds the proposal, its account, the name of the proposer, and the columns `more`.
    """
    query: Any = (
        select(UserChange, User, _proposer.name, *more)
        .join(User, User.id == UserChange.user_id)
        .join(_proposer, _proposer.id == UserChange.proposed_by_person)
        .where(UserChange.state == ProposalState.PROPOSED, _is_shown(ctx))
    )
    seen: Select[Any] = scoped(query, ctx.actor, Operation.USERS_SEE, User.organisation_id)
    return list(ctx.session.execute(seen.order_by(UserChange.id)))
