"""Who has what: one object, the rows of a list, and conditions for lists."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, or_, select, true

from sifilma.assignment.models import Assignment
from sifilma.identity.models import AccountState, Organisation, Person, User, UserRole, counts, holds
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.paging import Listing

FILTERS = MINE, FREE, TAKEN = "saya", "bebas", "dipegang"
"""Filters of lists: what the actor has, what nobody has, what somebody has."""


@dataclass(frozen=True)
class Holder:
    """Who has the work on an object, since when and in which role."""

    object_id: UUID
    user_id: UUID
    name: str
    role: str
    at: datetime


@dataclass(frozen=True)
class Colleague:
    """Somebody to whom work may be given."""

    user_id: UUID
    name: str

    @property
    def pair(self) -> tuple[UUID, str]:
        """Return value and words of a choice."""
        return self.user_id, self.name


def standing(now: datetime) -> ColumnElement[bool]:
    """Return the condition that an assignment counts: its account, joined as User, is active and holds the role in which it was taken."""
    held = exists().where(UserRole.user_id == User.id, UserRole.role == Assignment.role, counts(now))
    return and_(User.id == Assignment.user_id, User.state == AccountState.ACTIVE, held)


def assigned_query(ctx: Context) -> Select[Assignment]:
    """Return a query of the assignments that count, for those of the directorate who divide the work; of none for others."""
    query = select(Assignment).join(User, standing(ctx.now))
    return query if grants(ctx.actor, Operation.WORK_ASSIGN) else query.where(~true())


def list_assignments(ctx: Context, *, mine: bool = False) -> Listing[Assignment]:
    """Return the assignments that count, or only those of the actor."""
    query = assigned_query(ctx)
    return (query.where(Assignment.user_id == ctx.actor.user_id) if mine else query), Assignment.object_id


def named_query(ctx: Context) -> Select[Any]:
    """Return a query of the columns of Holder, of all assignments that count. Nobody outside the directorate is told."""
    query = assigned_query(ctx).join(Person, Person.id == User.person_id)
    columns: tuple[Any, ...] = (Assignment.object_id, User.id.label("user_id"), Person.name, Assignment.role, Assignment.at)
    return query.with_only_columns(*columns)


def holders(ctx: Context, ids: Collection[UUID]) -> dict[UUID, Holder]:
    """Return who has these objects, in one statement at most."""
    if not ids or not grants(ctx.actor, Operation.WORK_ASSIGN):
        return {}
    found = ctx.session.execute(named_query(ctx).where(Assignment.object_id.in_(ids)))
    return {row[0]: Holder(*row) for row in found}


def find_holder(ctx: Context, object_id: UUID) -> Holder | None:
    """Return who has an object, or None."""
    return holders(ctx, [object_id]).get(object_id)


def narrowed(ctx: Context, key: Any, wanted: str) -> ColumnElement[bool]:
    """Return the condition of a filter (MINE, FREE, TAKEN) on the objects with this key. Other words, and other actors, do not filter."""
    if wanted not in FILTERS or not grants(ctx.actor, Operation.WORK_ASSIGN):
        return true()
    taken = select(Assignment.object_id).join(User, standing(ctx.now)).where(Assignment.object_id == key)
    if wanted == MINE:
        taken = taken.where(Assignment.user_id == ctx.actor.user_id)
    is_taken = taken.correlate_except(Assignment, User).exists()
    return ~is_taken if wanted == FREE else is_taken


def list_colleagues(ctx: Context, roles: Collection[Role], besides: Collection[UUID]) -> list[Colleague]:
    """Return the people of the actor's organisation who hold one of these roles, by name, without those named."""
    held = or_(*(holds(User, role, ctx.now) for role in sorted(roles)))
    query = select(User.id, Person.name).join(Person, Person.id == User.person_id)
    query = query.where(User.organisation_id == ctx.actor.organisation_id, User.state == AccountState.ACTIVE, held, User.id.not_in(besides))
    return [Colleague(*row) for row in ctx.session.execute(query.order_by(Person.name, User.id))]


def find_colleague(ctx: Context, user_id: UUID) -> User | None:
    """Return an active account of the directorate by its id, or None."""
    central = exists().where(Organisation.id == User.organisation_id, Organisation.kind == OrganisationKind.DIRECTORATE)
    return ctx.session.scalars(select(User).where(User.id == user_id, User.state == AccountState.ACTIVE, central)).first()
