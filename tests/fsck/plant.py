"""A planted fault: what it changes in the database, and what fsck must say about it.

`{some …}` is shorthand for one row: `{some token state='issued'}` is `(SELECT id FROM token WHERE state='issued' ORDER BY id LIMIT 1)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Plant:
    """`statements` break `invariant`; a finding on an object of `kind` must then contain `says`. `loosen` names tables that lose their
    constraints first.
    """

    invariant: str
    kind: str
    says: str
    statements: tuple[str, ...]
    loosen: tuple[str, ...] = ()

    def sql(self) -> list[str]:
        """Return the statements with their shorthand written out."""
        return [re.sub(r"\{some (\w+) ?([^}]*)\}", _some, statement) for statement in self.statements]


def _some(found: re.Match[str]) -> str:
    where = f" WHERE {found[2]}" if found[2] else ""
    return f"(SELECT id FROM {found[1]}{where} ORDER BY id LIMIT 1)"


def plant(invariant: str, kind: str, says: str, *statements: str, loosen: tuple[str, ...] = ()) -> Plant:
    """Return a line of the table."""
    return Plant(invariant, kind, says, statements, loosen)
