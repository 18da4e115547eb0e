"""Things that a list or a table names twice: which rows are the same as an earlier one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from sifilma.kernel.text import Text, say


def repeats(keys: Mapping[int, Hashable]) -> dict[int, int]:
    """Return, by its number, the first row with the same key for every row that is not the first. A key of None or "" is none."""
    first: dict[Hashable, int] = {}
    found: dict[int, int] = {}
    for number, key in keys.items():
        if key is None or key == "":
            continue
        if key in first:
            found[number] = first[key]
        else:
            first[key] = number
    return found


def same_as(row: int) -> Text:
    """Return the words for a row that names what an earlier row names."""
    return say("The same as row %(row)s.", row=row)


def numbered(items: Iterable[Hashable]) -> dict[int, Hashable]:
    """Return the items of a list by their numbers, from 1."""
    return dict(enumerate(items, start=1))
