"""Statements that are built once for each kind of actor. At each execution they get the values of the actor and of the moment.

To build the unions of the home page takes longer than to execute them. The build is given an actor and a moment that nobody has, twice:
where a value of the two statements differs, it is the actor's or the moment's, and is replaced at each execution. A statement with a value
that is not, but was made from one, is not kept: it is built for each execution.

To have PostgreSQL plan them takes longer still. One plan serves all actors of a kind: what is always the same stands in the statement, and
each condition is written so that the plan for an organisation of middle size is that for the largest too. Where it is not,
`python -m tests.benchmarks.nation.measure` says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import count
from typing import Any, cast
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Dialect, FunctionElement, Select, String, TypeDecorator, Uuid, bindparam, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import NullType, TypeEngine

from sifilma.kernel.actor import Actor, KeyScope, OrganisationKind, Role
from sifilma.kernel.clock import Reading
from sifilma.kernel.context import Context
from sifilma.kernel.statements.prepared import Prepared, is_constant
from sifilma.kernel.unit_of_work import UnitOfWork

Build = Callable[[Context, Any], Select[Any] | None]
Fill = Callable[[Context], Any]
IDS = ("organisation_id", "user_id", "person_id")
BELOW = ".%"
"""What follows the code of a region in a pattern of the codes below it."""
NEAR = timedelta(days=4000)
"""A moment so near to the stand-in's was made from it."""
MOST = 1024
"""Statements that are kept: lists times kinds of actor."""
TRIES = 3
"""Another thread may have compiled a common part between the two builds."""
# A compiled statement whose values are given at execution must not be taken for one of equal words whose values are its own.
_MARK = text("/* kept */")
_now: ContextVar[Context] = ContextVar("context of the execution")
_numbers = count(1)
log = structlog.get_logger()


@dataclass(frozen=True)
class Shape:
    """Everything of an actor that decides which statement is built, but none of its values.

    `limited` is whether the actor is limited to outlets; how many they are decides nothing, since their ids are one value of the statement.
    """

    kind: OrganisationKind | None
    roles: frozenset[Role]
    scopes: frozenset[KeyScope]
    is_key: bool
    has: tuple[bool, ...]
    limited: bool

    @classmethod
    def of(cls, actor: Actor) -> Shape:
        """Return the shape of an actor."""
        known = tuple(getattr(actor, name) is not None for name in IDS)
        limited = actor.outlets is not None
        return cls(actor.organisation_kind, actor.roles, actor.scopes, actor.api_key_id is not None, known, limited)


@dataclass
class StandIn:
    """A clock and the ids of an actor that nobody has; the two differ in every value."""

    number: int
    shows_real_time: bool = False

    def now(self) -> datetime:
        """Return a moment that is far from every other."""
        turn = self.number % 25
        return datetime(3000 + 100 * turn, 1, 2 + turn, 3, 4, 5 + turn, tzinfo=UTC)

    def reading(self) -> Reading:
        """Return the same moment, of no machine."""
        return Reading(self.now(), "", 0.0)

    def id_of(self, name: str) -> UUID:
        """Return the id that stands for one of IDS."""
        return UUID(int=(self.number << 64) + IDS.index(name) + 1)

    @property
    def region(self) -> str:
        """Return what stands for the code of the actor's region. No code has such a form, and each begins otherwise than the next."""
        return _Region(f"{self.number % 10}?region {self.number}?")

    @property
    def outlets(self) -> frozenset[UUID]:
        """Return what stands for the outlets to which an actor is limited."""
        return frozenset({UUID(int=(self.number << 64) + len(IDS) + 1)})

    def context(self, shape: Shape) -> Context:
        """Return a context of an actor of this shape. It has no database: a build that asks one cannot be kept."""
        ids: dict[str, Any] = {name: self.id_of(name) for name, known in zip(IDS, shape.has, strict=True) if known}
        actor = Actor(
            organisation_kind=shape.kind,
            region_code=self.region,
            roles=shape.roles,
            scopes=shape.scopes,
            api_key_id=UUID(int=self.number) if shape.is_key else None,
            outlets=self.outlets if shape.limited else None,
            **ids,
        )
        return Context(_NoDatabase(), self, actor)


class _Region(str):
    """A code of a region of which no part can be taken: the same part of another one would be taken for what is always the same."""

    __slots__ = ()

    def __getitem__(self, key: object) -> str:
        """Refuse."""
        raise LookupError("made from a region")


class _NoDatabase(UnitOfWork):
    def __init__(self) -> None:
        """Open no session."""

    @property
    def session(self) -> Session:
        """Refuse: what a build reads now would stand in the statement for ever."""
        raise LookupError("a statement that is kept may not be built from what the database says")


def rows(ctx: Context, build: Build, variant: Hashable = None, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
    """Execute the statement that `build` makes of a context and a variant; without one there are no rows.

    The rows are named tuples. `values` are those of the statement's own `bindparam`s. `build` is a function of a module, and its only input
    are the two arguments.
    """
    found = find(ctx.actor, build, variant)
    query = build(ctx, variant) if found is None else found.query
    if query is None:
        return []
    with executing(ctx):
        if found is not None and found.prepared is not None:
            return found.prepared.read(ctx.session, dict(values or {}))
        return ctx.session.execute(query, dict(values or {})).all()


@dataclass(frozen=True)
class Kept:
    """A statement for all actors of a shape, or None where there is nothing to ask for them.

    `prepared` is the same, compiled once. There is none of a statement with a list of values: its text depends on their number.
    """

    query: Select[Any] | None
    prepared: Prepared | None = None


def find(actor: Actor, build: Build, variant: Hashable = None) -> Kept | None:
    """Return the statement that is kept for an actor, or None if it cannot be kept."""
    return _kept(build, variant, Shape.of(actor))


@contextmanager
def executing(ctx: Context) -> Iterator[None]:
    """Give the statements within the values of this context."""
    token = _now.set(ctx)
    try:
        yield
    finally:
        _now.reset(token)


@lru_cache(maxsize=MOST)
def _kept(build: Build, variant: Hashable, shape: Shape) -> Kept | None:
    """Return the statement for all actors of a shape, or None if it cannot be kept."""
    reason = ""
    for _ in range(TRIES):
        # SQLAlchemy marks a part when it is compiled. Parts that are kept by their values are new for new stand-ins: neither has been.
        first, second = StandIn(next(_numbers)), StandIn(next(_numbers))
        try:
            one, other = build(first.context(shape), variant), build(second.context(shape), variant)
            return Kept(None) if one is None or other is None else _filled(marked_query(one), first, marked_query(other), second)
        except LookupError as found:
            reason = str(found)
    log.warning("statement not kept", build=build.__name__, reason=reason)
    return None


def marked_query(query: Select[Any]) -> Select[Any]:
    """Return a statement that SQLAlchemy does not take for another of equal words, whose values are its own."""
    return query.prefix_with(_MARK)


def _filled(query: Select[Any], first: StandIn, other: Select[Any], second: StandIn) -> Kept:
    """Return a statement that fills in what differs from the other. Raise LookupError if that is more than ids and the moment."""
    one_key, other_key = query._generate_cache_key(), other._generate_cache_key()  # nothing else names the parameters in their order
    if one_key is None or other_key is None or one_key.key != other_key.key:
        raise LookupError("two actors get different statements")
    is_fixed = True
    for bind, beside in zip(one_key.bindparams, other_key.bindparams, strict=True):
        if _described(bind.value, first) != _described(beside.value, second):
            raise LookupError(f"made from an actor or a moment: {bind.value!r}")
        fill = _fill(bind.value, first)
        if fill is not None:
            bind.callable = partial(_value, fill)
        is_fixed = is_fixed and not (bind.expanding and not is_constant(bind))
    return Kept(query, Prepared(query, one_plan=True) if is_fixed else None)


def _value(fill: Fill) -> Any:
    return fill(_now.get())


def _fill(value: Any, stand_in: StandIn) -> Fill | None:
    """Return how a value is made from the context of an execution, or None if it is always the same."""
    found = _described(value, stand_in)
    match found:
        case ("id", str(name)):
            return lambda ctx: getattr(ctx.actor, name)
        case ("moment", timedelta() as after):
            return lambda ctx: ctx.now + after
        case ("region", str(end)):
            return lambda ctx: f"{ctx.actor.region_code or '-'}{end}"
        case ("outlets",):
            return lambda ctx: sorted(ctx.actor.outlets or ())
        case ("each", *parts) if any(isinstance(part, tuple) for part in parts):
            each = [_fill(one, stand_in) for one in value]
            return lambda ctx: [one if fill is None else fill(ctx) for one, fill in zip(value, each, strict=True)]
    return None


def _described(value: Any, stand_in: StandIn) -> Any:
    """Return a value as it is, or which of the stand-in's it is: equal for both stand-ins if it was made in no other way from them."""
    for name in IDS:
        if value == stand_in.id_of(name):
            return ("id", name)
    if isinstance(value, str) and value in (stand_in.region, stand_in.region + BELOW):
        return ("region", value.removeprefix(stand_in.region))
    if isinstance(value, datetime) and value.tzinfo and abs(value - stand_in.now()) < NEAR:
        return ("moment", value - stand_in.now())
    if value == sorted(stand_in.outlets):
        return ("outlets",)
    if isinstance(value, list | tuple | set | frozenset):
        return ("each", *(_described(one, stand_in) for one in value))
    return value


def one_of_given(column: Any, name: str) -> ColumnElement[bool]:
    """Return the condition that a column of ids or texts has one of the values that are given as `name` at each execution."""
    return cast("ColumnElement[bool]", _one_of_given(column, bindparam(name, type_=_Given(isinstance(column.type, Uuid)))))


class _Given(TypeDecorator[Collection[UUID] | Collection[str]]):
    """Ids or texts as one value, however many they are: an array on PostgreSQL, a text of JSON on SQLite."""

    impl = String
    cache_ok = True

    def __init__(self, are_ids: bool = True) -> None:
        super().__init__()
        self.are_ids = are_ids

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of the value for the database."""
        return dialect.type_descriptor(postgresql.ARRAY(Uuid() if self.are_ids else String()) if dialect.name == "postgresql" else String())

    def process_bind_param(self, value: Collection[UUID] | Collection[str] | None, dialect: Dialect) -> Any:
        """Return the value for the database, which on SQLite has an id as its 32 digits."""
        given: list[UUID | str] = list(value or ())
        return given if dialect.name == "postgresql" else json.dumps([one.hex if isinstance(one, UUID) else one for one in given])


class _one_of_given(FunctionElement[Any]):  # noqa: N801  # read as a function of SQL
    type = NullType()  # SQLite would compare a BOOLEAN with 1, and use no index
    inherit_cache = True


@compiles(_one_of_given)
def _in_json(element: _one_of_given, compiler: SQLCompiler, **more: Any) -> str:
    column, values = (compiler.process(part, **more) for part in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608  # the compiler wrote both


@compiles(_one_of_given, "postgresql")
def _in_array(element: _one_of_given, compiler: SQLCompiler, **more: Any) -> str:
    column, values = (compiler.process(part, **more) for part in element.clauses)
    return f"{column} = ANY ({values})"


def forget() -> None:
    """Forget every statement, for tests and measurements."""
    _kept.cache_clear()


def built() -> int:
    """Return how many statements are kept."""
    return _kept.cache_info().currsize
