"""The few words in which SQLite and PostgreSQL differ, so that each invariant is written once.

`dashed(t.id)`: a UUID as text with dashes, as the record of acts names objects. `fact(e.data, name)`: a fact of an act, as text.
`later(t.at, 10)`: seconds after a moment. `IS [NOT] DISTINCT FROM` works on every SQLite.
"""

from __future__ import annotations

import re

_DASHED, _FACT, _LATER = re.compile(r"dashed\(([\w.]+)\)"), re.compile(r"fact\(([\w.]+), (\w+)\)"), re.compile(r"later\(([\w.]+), (\d+)\)")
_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))


def render(sql: str, dialect: str) -> str:
    """The text for one database."""
    return _sqlite(sql) if dialect == "sqlite" else _postgresql(sql)


def _postgresql(sql: str) -> str:
    sql = _DASHED.sub(r"CAST(\1 AS TEXT)", sql)
    sql = _FACT.sub(r"(\1 ->> '\2')", sql)
    return _LATER.sub(r"(\1 + interval '\2 seconds')", sql)


def _sqlite(sql: str) -> str:
    sql = _DASHED.sub(lambda found: "(" + " || '-' || ".join(f"substr({found[1]}, {at}, {n})" for at, n in _PARTS) + ")", sql)
    sql = _FACT.sub(r"json_extract(\1, '$.\2')", sql)
    sql = _LATER.sub(r"strftime('%Y-%m-%d %H\:%M\:%f', \1, '+\2 seconds')", sql)
    return sql.replace("IS NOT DISTINCT FROM", "IS").replace("IS DISTINCT FROM", "IS NOT")
