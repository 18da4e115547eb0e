"""Which rows of a list an actor may see."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast
from uuid import UUID

from sqlalchemy import ColumnElement, FunctionElement, Select, String, Uuid, bindparam, column, false, or_, select, table, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import NullType

from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Grant, Operation, Scope, grants
from sifilma.kernel.actor import Actor
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.ways import Way, reached

UNITS = table("unit", column("id", Uuid()), column("outlet_id", Uuid()))
"""The columns of units that say where they stand; the model belongs to a package above."""
Query = TypeVar("Query", bound=Select[Any])


def scoped(
    query: Query, actor: Actor, operation: Operation, owner: Any, *, linked: Sequence[ColumnElement[bool]] = (), unit: Any = None
) -> Query:
    """Restrict a query to the rows the actor may see.

    `owner` is the column, or a tuple of columns, that holds owning organisations. `linked` are conditions under which a row is linked to
    the actor by a batch. `unit` is the column, or the query of the ids, of units at which a row is found, or a condition that takes
    their place: without it an actor who is limited to outlets sees nothing. An actor without a grant sees nothing either.
    """
    owners = owner if isinstance(owner, tuple) else (owner,)
    found = grants(actor, operation)
    if actor.outlets is not None:
        query = query.where(false() if unit is None else unit(actor) if callable(unit) else at_outlets(actor, unit))
    if any(grant.scope is Scope.ALL for grant in found):
        return query
    reach = or_(false(), *(_reach(grant, actor, owners, linked) for grant in found))
    return reached(query, reach, _ways({grant.scope for grant in found}, actor, owners))


def _ways(scopes: set[Scope], actor: Actor, owners: tuple[Any, ...]) -> list[Way]:
    """Return how rows come into a list of these scopes; none where something else leads there than an owner's column."""
    if actor.organisation_id is None or not scopes <= {Scope.OWN, Scope.JURISDICTION}:
        return []
    whose: list[UUID | Select[Any]] = [actor.organisation_id]
    if Scope.JURISDICTION in scopes:
        whose.append(_offices_query(_codes_below(actor.region_code)))
    return [Way(column, owner) for column in owners for owner in whose]


def at_outlets(actor: Actor, unit: Any) -> ColumnElement[bool]:
    """Return the condition that a unit, by the column of its id, stands at an outlet to which the actor is limited."""
    there = select(UNITS.c.id).where(UNITS.c.outlet_id.in_(sorted(actor.outlets or ()))).correlate(None)
    return cast(ColumnElement[bool], unit.in_(there))


def within_limit(actor: Actor, unit: Any) -> ColumnElement[bool]:
    """Return the same condition for an actor who is limited; for everybody else one that always holds."""
    return true() if actor.outlets is None else at_outlets(actor, unit)


def may_reach(actor: Actor, operation: Operation, organisation_id: Any) -> bool:
    """Return whether a grant of the operation covers an object of this organisation. J and L count as O: links are not looked up here."""
    found = grants(actor, operation)
    return any(grant.scope is Scope.ALL for grant in found) or (bool(found) and actor.organisation_id == organisation_id)


def _reach(grant: Grant, actor: Actor, owners: tuple[Any, ...], linked: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    own = _owned(owners, actor.organisation_id)
    if grant.scope is Scope.JURISDICTION:
        return or_(own, _below(owners, actor.region_code))
    if grant.scope is Scope.LINKED:
        return or_(own, *linked)
    return own


# A home page asks for the same conditions some fifty times, and for them again at the next visit: they are kept by what they hold.
# Owners are columns of models, or of aliases that are made once: an alias made anew would be kept for nothing.
@lru_cache(maxsize=1024)
def _owned(owners: tuple[Any, ...], organisation_id: UUID | None) -> ColumnElement[bool]:
    return or_(*(column == organisation_id for column in owners))


@lru_cache(maxsize=1024)
def _below(owners: tuple[Any, ...], code: str | None) -> ColumnElement[bool]:
    """Return the condition that an owner is a regency office whose code lies below the province's code."""
    offices = _offices_query(_codes_below(code)).scalar_subquery()
    return or_(*(_one_of(column, offices) for column in owners))


def _codes_below(code: str | None) -> str:
    """Return the pattern of the codes below a province's; of whoever has none, one that no code fits."""
    return f"{code or '-'}.%"


def _offices_query(below: Any) -> Select[Any]:
    return select(Organisation.id).where(Organisation.region_code.like(below), Organisation.kind == "regency_office")


_OFFICES = Prepared(_offices_query(bindparam("below", type_=String)))


def offices_below(session: Session, actor: Actor) -> list[UUID]:
    """Return the ids of the regency offices below a province: for a statement that PostgreSQL plans well for their ids alone."""
    return [row.id for row in _OFFICES.read(session, {"below": _codes_below(actor.region_code)})]


class _one_of(FunctionElement[Any]):  # noqa: N801  # read as a function of SQL
    """A column is one of the few values of a subquery. PostgreSQL is given them as an array, which each owner's index answers.

    It reads the whole table for `a IN (SELECT …) OR b IN (SELECT …)`.
    """

    type = NullType()  # SQLite would compare a BOOLEAN with 1, and use no index
    inherit_cache = True


@compiles(_one_of)
def _as_in(element: _one_of, compiler: SQLCompiler, **more: Any) -> str:
    owner, values = (compiler.process(part, **more) for part in element.clauses)
    return f"{owner} IN {values}"


@compiles(_one_of, "postgresql")
def _as_array(element: _one_of, compiler: SQLCompiler, **more: Any) -> str:
    owner, values = (compiler.process(part, **more) for part in element.clauses)
    return f"{owner} = ANY (ARRAY{values})"
