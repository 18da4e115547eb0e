"""The keys of a page of a list, read from indexes before its rows: what PostgreSQL does not do by itself, because it expects too little.

It takes it that rows of an owner, and rows with a part of a text, are spread evenly over a table. So it walks the table in the order of
the list until a page is full: past all rows of others, if the owner's are old. SQLite, which is for small installations, reads lists as
they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from uuid import UUID

from sqlalchemy import (
    CTE,
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    Column,
    ColumnElement,
    FromClause,
    Select,
    any_,
    func,
    select,
    true,
    union,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import Grouping

Query = TypeVar("Query", bound=Select[Any])
LOOKED = 500
"""Rows of a list that a page looks through for what no index finds."""
_REACHED, _LOOKED = "sifilma_reached", "sifilma_looked"


@dataclass(frozen=True)
class Way:
    """How rows come into a list: their `column` has the value `owner`, or one of those that the query `owner` gives.

    An index has the column and then the key of the list.
    """

    column: Any
    owner: UUID | str | Select[Any]


def reached(query: Query, reach: ColumnElement[bool], ways: Sequence[Way]) -> Query:
    """Restrict a list to the rows that `reach` lets in, which are those of all `ways` together.

    Its pages in the order of the key are then read way by way: the keys of each in the order of its index, and of these the first. Where a
    list is narrowed twice, the ways are those of the last time.
    """
    known, _ = query.get_execution_options().get(_REACHED, ((), ()))
    return query.where(reach).execution_options(**{_REACHED: ((*known, reach), tuple(ways))})


def looked_through(query: Query, condition: ColumnElement[bool]) -> Query:
    """Restrict a list by a condition that no index answers, for what so many rows have that their ids are not found first.

    A page looks through LOOKED rows of the list for it, and may so have fewer rows than fit it, or none, and a next page nevertheless.
    """
    return query.where(condition).execution_options(**{_LOOKED: condition})


def reads_keys_first(session: Session) -> bool:
    """Return whether pages are read so: SQLite reads lists as they are written."""
    return session.get_bind().dialect.name != "sqlite"


def is_looked_through(session: Session, query: Select[Any]) -> bool:
    """Return whether pages of a list look through a part of it."""
    return _LOOKED in query.get_execution_options() and reads_keys_first(session)


def looked_at(
    query: Select[Any], columns: Sequence[Any], behind: Sequence[ColumnElement[bool]], most: int, *, upwards: bool
) -> Select[Any]:
    """Return the query of `columns`, the last of which is the key, of the first `most` rows of a list that is `looked_through`.

    In the order of the key it may give rows that the list does not have: conditions that no index answers are left to the list itself.
    """
    if len(columns) == 1:
        if (keys := _by_ways(query, columns[0], behind, most, upwards=upwards, loosely=True)) is not None:
            return keys
        conditions = [one for one in _conditions(query) if _is_plain(one)]
    else:
        conditions = [one for one in _conditions(query) if one is not query.get_execution_options()[_LOOKED]]
    return select(*columns).where(*conditions, *behind).order_by(*directed(columns, upwards=upwards)).limit(most)


def among_first(query: Query, key: Any, most: int) -> tuple[Query, CTE]:
    """Return a list that is `looked_through` of its newest `most` rows alone, and their keys. The query is for PostgreSQL."""
    keys = looked_at(query, [key], [], most, upwards=False).cte(f"newest_{key.class_.__tablename__}")
    return query.where(one_of_keys(key, keys)), keys


def one_of_keys(key: Any, keys: FromClause) -> ColumnElement[bool]:
    """Return the condition that a row has one of the keys. PostgreSQL is given them as an array, and looks each of them up."""
    (each,) = (one for one in keys.c if one.key == key.key)
    found = func.array(select(each).scalar_subquery(), type_=ARRAY(key.type))
    return cast("ColumnElement[bool]", key == any_(found))


def first_keys(
    session: Session, query: Select[Any], key: Any, behind: Sequence[ColumnElement[bool]], most: int, *, upwards: bool
) -> Select[Any] | None:
    """Return the query of the first keys of a list, of each of its ways by itself.

    A list of all rows that is narrowed by values has one way: its state is in an index with the key, and of most rows, so that PostgreSQL
    would rather walk past the newest, which are in none of those states yet.

    None of all rows and of one owner alone, which need no such help; and if the list was restricted otherwise than by values of its own
    columns, which each way would look for again.
    """
    known, ways = query.get_execution_options().get(_REACHED, ((), ()))
    single = len(ways) == 1 and len(known) == 1 and not isinstance(ways[0].owner, Select)
    if single or not reads_keys_first(session):
        return None
    return _by_ways(query, key, behind, most, upwards=upwards)


def directed(columns: Sequence[Any], *, upwards: bool) -> list[Any]:
    """Return columns as an order: the least of them first if `upwards`, else the greatest."""
    return [column if upwards else column.desc() for column in columns]


def _by_ways(
    query: Select[Any], key: Any, behind: Sequence[ColumnElement[bool]], most: int, *, upwards: bool, loosely: bool = False
) -> Select[Any] | None:
    """Return the same query; `loosely`, without the conditions that are not plain, instead of None if there are any."""
    known, ways = query.get_execution_options().get(_REACHED, ((), ()))
    others = [one for one in _conditions(query) if not any(one is each for each in known)]
    tables = {*(one for one in query.get_children() if isinstance(one, FromClause)), *(way.column.table for way in ways)}
    plain = [one for one in others if _is_plain(one)]
    if tables != {key.table} or not (ways or plain) or (len(plain) < len(others) and not loosely):
        return None
    if known and not ways:
        return None  # nothing says how the rows come in

    def first(keys: Select[Any]) -> Select[Any]:
        return keys.order_by(*directed(list(keys.selected_columns), upwards=upwards)).limit(most)

    mine = select(key).where(*plain, *behind)
    if not ways:
        return first(mine)
    each = [select(first(_keys_of(mine, way, first)).subquery()) for way in ways]
    # Rows of one column are of one owner; by several columns a row may come in more than once.
    together = union_all if len({way.column for way in ways}) == 1 else union
    return first(select(together(*each).subquery()))


def _keys_of(keys: Select[Any], way: Way, first: Callable[[Select[Any]], Select[Any]]) -> Select[Any]:
    if not isinstance(way.owner, Select):
        return keys.where(way.column == way.owner)
    owners = way.owner.subquery()
    (owner,) = owners.c
    each = first(keys.where(way.column == owner)).correlate(owners).lateral()
    return select(each).select_from(owners.join(each, true()))


def _conditions(query: Select[Any]) -> list[Any]:
    """Return the conditions of a query that are joined by AND."""
    where = query.whereclause
    both = where.clauses if isinstance(where, BooleanClauseList) and where.operator is operators.and_ else [where]
    return [one.element if isinstance(one, Grouping) else one for one in both]


def _is_plain(condition: Any) -> bool:
    """Return whether a condition compares a column with a value. Parts of texts are no values."""
    is_compared = isinstance(condition, BinaryExpression) and condition.operator in _COMPARED
    return is_compared and isinstance(condition.left, Column) and isinstance(condition.right, BindParameter)


_COMPARED = (operators.eq, operators.ne, operators.lt, operators.le, operators.gt, operators.ge)
