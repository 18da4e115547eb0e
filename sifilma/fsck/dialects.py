"""Translate the few expressions in which SQLite and PostgreSQL differ, so that each invariant is written once.

`dashed(t.id)` is a UUID as text with dashes, as audit entries name objects. `fact(e.data, name)` is a fact of an act, as text.
`later(t.at, 10)` is the moment so many seconds after another. `IS [NOT] DISTINCT FROM` becomes `IS [NOT]`, because SQLite knows the
long form only since 3.39.
"""

from __future__ import annotations

import re

_DASHED, _FACT, _LATER = re.compile(r"dashed\(([\w.]+)\)"), re.compile(r"fact\(([\w.]+), (\w+)\)"), re.compile(r"later\(([\w.]+), (\d+)\)")
_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))  # start and length of the five groups of a UUID in SQLite's text without dashes


def render(sql: str, dialect: str) -> str:
    """Return the SQL for `sqlite` or `postgresql`."""
    return _sqlite(sql) if dialect == "sqlite" else _postgresql(sql)


def _postgresql(sql: str) -> str:
    sql = _DASHED.sub(r"CAST(\1 AS TEXT)", sql)
    sql = _FACT.sub(r"(\1 ->> '\2')", sql)
    return _LATER.sub(r"(\1 + interval '\2 seconds')", sql)


def _sqlite(sql: str) -> str:
    sql = _DASHED.sub(lambda found: "(" + " || '-' || ".join(f"substr({found[1]}, {at}, {n})" for at, n in _PARTS) + ")", sql)
    sql = _FACT.sub(r"json_extract(\1, '$.\2')", sql)
    # SQLite stores a moment as text; `\:` keeps SQLAlchemy's text() from taking the colon for a parameter.
    sql = _LATER.sub(r"strftime('%Y-%m-%d %H\:%M\:%f', \1, '+\2 seconds')", sql)
    return sql.replace("IS NOT DISTINCT FROM", "IS").replace("IS DISTINCT FROM", "IS NOT")
