"""Rows of a list that have a part of a text are found first, by the indexes of its columns: in one statement, for as many lists as ask.

In the statement of a list, whose conditions are joined by OR, none of these indexes would be used, and ordered by id PostgreSQL may walk
the whole table. The statement of the arms is compiled once. It is planned for its values: what a tenth of the rows have is found by
reading some of them, not by an index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, TypeAlias, cast
from uuid import UUID

from sqlalchemy import (
    CTE,
    BindParameter,
    ColumnElement,
    Select,
    String,
    Uuid,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from sifilma.kernel.db import among
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.text import has_part
from sifilma.kernel.ways import looked_through

Condition = Callable[[Any], ColumnElement[bool]]
Value = Callable[[str], str | None]
Ids = list[UUID] | None
"""Ids that were found first, or None where they are many."""
FEW, SOME, SHORT = 1_000, 5_000, 3
"""Rows that each index is asked for, before a list is read in its order: for a part of SHORT letters or digits, and for a longer one."""
TRIGRAMS = 3
"""Trigrams of a part for which an index is asked. Each of them is a list of rows to be read, and few of them leave few rows."""


@dataclass(frozen=True, eq=False)
class Arm:
    """One condition, which one index answers: of the value (a parameter or a text) that `value` makes of what is looked for.

    `key` is the column of the ids. A value of None finds nothing.
    """

    key: Any
    condition: Condition
    value: Value

    def by_index(self, trigrams: Any, value: Any) -> ColumnElement[bool]:
        """Return the condition for an index, which may be asked for some trigrams of the part alone (`Part.by_some`)."""
        ask = self.condition
        return ask.by_index(trigrams, value) if isinstance(ask, Part | Named) else ask(value)


class Finder:
    """How a list is searched for a part of a text: a row is found that meets the condition of any arm."""

    def __init__(self, *arms: Arm) -> None:
        self.arms = arms

    def fitting(self, text: Sought) -> ColumnElement[bool]:
        """Return the condition itself, for a list that is read in its order."""
        of = text.of if isinstance(text, Parameters) else lambda value: value(text)
        return or_(false(), *(arm.condition(value) for arm in self.arms if (value := of(arm.value)) is not None))

    def restricted_query(self, session: Session, query: Select[Any], text: str) -> Select[Any]:
        """Restrict a query to the rows that are found. For what many have, a list is read in its order (`looked_through`)."""
        (few,) = find(session, text, self)
        return looked_through(query, self.fitting(text)) if few is None else among_few(session, query, self.arms[0].key, few)


class Parameters:
    """Stands for a text in a statement that is built once for all texts: for what each of `values` makes of one there is a parameter.

    They are called `name` and their place (`given`).
    """

    def __init__(self, name: str, values: Sequence[Value]) -> None:
        self._each = {value: bindparam(key, type_=String) for value, key in zip(values, given(name, values), strict=True)}

    def of(self, value: Value) -> BindParameter[Any]:
        """Return the parameter of a value. A value of None fits nothing, as NULL does."""
        return self._each[value]


Sought: TypeAlias = str | Parameters
"""What is looked for: a text, or the parameters of any text."""


def given(name: str, each: Sequence[Any]) -> dict[str, Any]:
    """Return what the Parameters of a name are given: a value for each of theirs, in their order."""
    return {f"{name}_{at}": value for at, value in enumerate(each)}


def find(session: Session, text: str, *finders: Finder, most: int | None = None) -> list[Ids]:
    """Return the ids that each of the finders finds.

    None if one of its arms gives more than `most`, if its part is too short for an index of trigrams, or on SQLite, which has none: there
    some thousand rows are looked through for the condition itself. `most` is FEW for three signs, which thousands have, and SOME for more:
    a batch numbers more than FEW cards alike.
    """
    if session.get_bind().dialect.name == "sqlite":
        return [None] * len(finders)
    most = most or (SOME if len(re.findall(r"[^\W_]", text)) > SHORT else FEW)
    arms = tuple(dict.fromkeys(arm for finder in finders for arm in finder.arms))
    values = {value: value(text) for value in values_of(arms)}
    short = {value for value, part in values.items() if part is not None and not has_part(part)}
    parts = [None if value in short else part for value, part in values.items()]
    asked = given("part", parts) | given("trigrams", [part and trigrams_of(part) for part in parts])
    each = each_few(_statement(arms, most).read(session, asked), most) if any(parts) else [[] for _ in arms]
    found = {arm: None if arm.value in short else ids for arm, ids in zip(arms, each, strict=True)}
    return [together(*(found[arm] for arm in one.arms)) for one in finders]


def together(*each: Ids) -> Ids:
    """Return the ids of all lists, each once, or None if one of them is None."""
    some = [ids for ids in each if ids is not None]
    return list(dict.fromkeys(chain(*some))) if len(some) == len(each) else None


def among_few(session: Session, query: Select[Any], key: Any, few: Collection[UUID]) -> Select[Any]:
    """Restrict a query to the rows that were found first."""
    return query.where(among(session, key, few) if few else false())


def trigrams_of(part: str) -> str:
    """Return a pattern of the last trigrams of a pattern that share no sign: whatever fits that one fits this.

    All trigrams of ABCDEF are four lists of rows to an index, ABC and DEF are two, and leave nearly as few. They are taken from the end,
    because the numbers of a maker begin alike. A pattern of fewer than two is returned as it is.
    """
    runs = re.findall(r"[^\W_]{3,}", part)  # escaped signs are no letters
    each = [run[at : at + 3] for run in runs for at in range(len(run) % 3, len(run), 3)][-TRIGRAMS:]
    return f"%{'%'.join(each)}%" if len(each) > 1 else part


def values_of(arms: Iterable[Arm]) -> list[Value]:
    """Return the values of arms, each once."""
    return list(dict.fromkeys(arm.value for arm in arms))


@lru_cache(maxsize=64)
def _statement(arms: tuple[Arm, ...], most: int) -> Prepared:
    values = values_of(arms)
    parts, trigrams = Parameters("part", values), Parameters("trigrams", values)
    found = []
    for at, arm in enumerate(arms):
        fitting = arm.by_index(trigrams.of(arm.value), parts.of(arm.value))
        found.append(counted_query(at, select(arm.key).where(fitting), most))
    return Prepared(union_all(*found), own_plan=True)


def counted_query(at: int, query: Select[Any], most: int = FEW) -> Select[Any]:
    """Return the query of a row for `each_few`: its place, how many ids a query gives, up to `most` + 1, and the ids if they are few."""
    (key,) = query.subquery().c
    ids = select(key.label("id")).limit(most + 1).subquery()
    few = case((func.count() <= most, func.array_agg(ids.c.id, type_=ARRAY(Uuid()))), else_=None).label("ids")
    return select(literal(at).label("arm"), func.count().label("number"), few).select_from(ids)


def each_few(rows: Sequence[Any], most: int = FEW) -> list[Ids]:
    """Return what the rows of some `counted_query` say, in the order of their places."""
    return [None if row.number > most else row.ids or [] for row in sorted(rows, key=lambda row: row.arm)]


class EachFew:
    """Queries of ids, each of which one index answers whatever its values are: few ids are found first."""

    def __init__(self, *queries: Select[Any], most: int = FEW) -> None:
        self._number, self._most = len(queries), most
        self._statement = Prepared(union_all(*(counted_query(at, query, most) for at, query in enumerate(queries))), one_plan=True)

    def find(self, session: Session, values: dict[str, Any]) -> list[Ids]:
        """Return the ids that each of the queries gives for these values: None of one that gives many, on SQLite of each (`find`)."""
        if session.get_bind().dialect.name == "sqlite":
            return [None] * self._number
        return each_few(self._statement.read(session, values), self._most)


def pattern(part: str) -> str | None:
    """Return what `like` and `ilike` compare with: any text that has the part, in which no sign is a wildcard. None of an empty part."""
    escaped = part.replace("/", "//").replace("%", "/%").replace("_", "/_")
    return f"%{escaped}%" if part else None


@dataclass(frozen=True, eq=False)
class Part:
    """The condition that a text fits a pattern, whatever its case if `in_any_case`.

    `by_some`: an index is asked for some trigrams of a part alone (`trigrams_of`), and what it finds is looked through for the part. Not
    for the numbers of papers: what tells them apart is a short number between signs, and the words around it are in all of them.
    """

    column: Any
    in_any_case: bool = False
    by_some: bool = False

    def __call__(self, value: Any) -> ColumnElement[bool]:
        """Return the condition, which an index answers by all trigrams of the value."""
        return self._fits(self.column, value)

    def by_index(self, trigrams: Any, value: Any) -> ColumnElement[bool]:
        """Return the condition for an index. PostgreSQL uses none for a column to which nothing is added."""
        return and_(self._fits(self.column, trigrams), self._fits(self.column + "", value)) if self.by_some else self(value)

    def _fits(self, column: Any, value: Any) -> ColumnElement[bool]:
        fits = column.ilike if self.in_any_case else column.like
        return cast("ColumnElement[bool]", fits(value, escape="/"))


@dataclass(frozen=True, eq=False)
class Named:
    """The condition that a column has the id (`of`) of something whose name fits a pattern in any case."""

    column: Any
    of: Any
    name: Any

    def __call__(self, value: Any) -> ColumnElement[bool]:
        """Return the condition. Several arms of a statement ask for the same names: they are looked through once."""
        ids = (
            select(_with_name(self.of, self.name, value))
            if isinstance(value, BindParameter)
            else select(self.of).where(ilike(self.name)(value))
        )
        return cast("ColumnElement[bool]", self.column.in_(ids))

    def by_index(self, trigrams: BindParameter[Any], value: BindParameter[Any]) -> ColumnElement[bool]:
        """Return the condition for an index of the names (`Part.by_index`)."""
        return cast("ColumnElement[bool]", self.column.in_(select(_with_name(self.of, self.name, value, trigrams))))


@lru_cache(maxsize=64)
def _with_name(of: Any, name: Any, value: BindParameter[Any], trigrams: BindParameter[Any] | None = None) -> CTE:
    part = Part(name, in_any_case=True, by_some=True)
    fits = part(value) if trigrams is None else part.by_index(trigrams, value)
    return select(of).where(fits).cte(f"named_{of.class_.__tablename__}_{value.key}")


def like(column: Any, *, by_some: bool = False) -> Part:
    """Return the condition that a text fits a pattern, of which an index is asked for all trigrams or `by_some`."""
    return Part(column, by_some=by_some)


def ilike(column: Any) -> Part:
    """Return the condition that a text fits a pattern in any case."""
    return Part(column, in_any_case=True)


def equals(column: Any) -> Condition:
    """Return the condition that a text is the whole value."""
    return lambda value: cast("ColumnElement[bool]", column == value)
