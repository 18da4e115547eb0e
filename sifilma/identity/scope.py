"""Which rows of a list an actor may see."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, FunctionElement, Select, false, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import NullType

from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Grant, Operation, Scope, grants
from sifilma.kernel.actor import Actor

Query = TypeVar("Query", bound=Select[Any])


def scoped(query: Query, actor: Actor, operation: Operation, owner: Any, *, linked: Sequence[ColumnElement[bool]] = ()) -> Query:
    """Restrict a query to the rows the actor may see.

    `owner` is the column, or a tuple of columns, that holds owning organisations. `linked` are conditions under which a row is linked to
    the actor by a batch. An actor without a grant sees nothing.
    """
    owners = owner if isinstance(owner, tuple) else (owner,)
    found = grants(actor, operation)
    if any(grant.scope is Scope.ALL for grant in found):
        return query
    return query.where(or_(false(), *(_reach(grant, actor, owners, linked) for grant in found)))


def may_reach(actor: Actor, operation: Operation, organisation_id: Any) -> bool:
    """Return whether a grant of the operation covers an object of this organisation. J and L count as O: links are not looked up here."""
    found = grants(actor, operation)
    return any(grant.scope is Scope.ALL for grant in found) or (bool(found) and actor.organisation_id == organisation_id)


def _reach(grant: Grant, actor: Actor, owners: tuple[Any, ...], linked: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    own = _owned(owners, actor.organisation_id)
    if grant.scope is Scope.JURISDICTION:
        return or_(own, _below(owners, actor.region_code or "-"))
    if grant.scope is Scope.LINKED:
        return or_(own, *linked)
    return own


# A home page asks for the same conditions some fifty times, and for them again at the next visit: they are kept by what they hold.
# Owners are columns of models, or of aliases that are made once: an alias made anew would be kept for nothing.
@lru_cache(maxsize=1024)
def _owned(owners: tuple[Any, ...], organisation_id: UUID | None) -> ColumnElement[bool]:
    return or_(*(column == organisation_id for column in owners))


@lru_cache(maxsize=1024)
def _below(owners: tuple[Any, ...], code: str) -> ColumnElement[bool]:
    """Return the condition that an owner is a regency office whose code lies below the province's code."""
    offices = select(Organisation.id).where(Organisation.region_code.like(f"{code}.%"), Organisation.kind == "regency_office")
    return or_(*(_one_of(column, offices.scalar_subquery()) for column in owners))


class _one_of(FunctionElement[Any]):  # noqa: N801  # read as a function of SQL
    """A column is one of the few values of a subquery. PostgreSQL is given them as an array, which each owner's index answers.

    It reads the whole table for `a IN (SELECT …) OR b IN (SELECT …)`.
    """

    type = NullType()  # SQLite would compare a BOOLEAN with 1, and use no index
    inherit_cache = True


@compiles(_one_of)
def _as_in(element: _one_of, compiler: SQLCompiler, **more: Any) -> str:
    column, values = (compiler.process(part, **more) for part in element.clauses)
    return f"{column} IN {values}"


@compiles(_one_of, "postgresql")
def _as_array(element: _one_of, compiler: SQLCompiler, **more: Any) -> str:
    column, values = (compiler.process(part, **more) for part in element.clauses)
    return f"{column} = ANY (ARRAY{values})"
