"""The columns of a table that people fill in: what each is called, in both languages, and what its cells may hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property

from sifilma.documents.tables.headings import Wanted, key
from sifilma.kernel.text import Text, say

EXAMPLE = say("Example:")
HINT = say("Hint:")
REFERENCE = say("Reference:")
MARKS = ("example:", "contoh:", "hint:", "petunjuk:", "reference:", "rujukan:")
"""How a sheet begins that is no table: one that helps to fill in another, or that begins with a row of GUIDES. In both languages."""
EXAMPLES, GUIDES = MARKS[:2], MARKS[:4]
"""How a row of a template begins that is none of the table's: an example, or a hint."""
AND_NAME = " – "
"""Between a code and its name, in the choices of a template. What follows is passed over when the sheet comes back."""


class Kind(Enum):
    """What the cells of a column hold. An IDENTIFIER is taken as it stands or not at all: a digit too few is another thing's name.

    A CODE is an identifier that may have a name behind it. A CHOICE is one of some words.
    """

    TEXT = auto()
    IDENTIFIER = auto()
    CODE = auto()
    NUMBER = auto()
    DAY = auto()
    CHOICE = auto()


@dataclass(frozen=True)
class Column:
    """One column. `name` is its name in the code and in the API, `heading` what people read above it.

    `other` are further headings that are understood. `instead` names a column that takes the place of a required one. `expected` says what
    belongs there; `example` is one. `choices` are the values of a CHOICE with the words for each: the first one is English and stands in
    templates, in the language of the page.
    """

    name: str
    heading: Text
    other: tuple[str, ...] = ()
    kind: Kind = Kind.TEXT
    required: bool = False
    instead: str = ""
    expected: Text | None = None
    example: str = ""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_identifier(self) -> bool:
        """Return whether a number or a date in this column may be another value than the one that was typed."""
        return self.kind in (Kind.IDENTIFIER, Kind.CODE)

    def value_of(self, text: str) -> str:
        """Return the value that a text chooses; of columns without choices, and for words that choose nothing, the text itself."""
        return self._values.get(key(text), text) if text else text

    @cached_property
    def _values(self) -> dict[str, str]:
        words = ((value, word) for value, all_words in self.choices.items() for word in (value, *all_words))
        return {key(word): value for value, word in words}


NOTES = Column(
    "error",
    say("Error notes"),
    ("Catatan kesalahan", "Kesalahan", "error"),
    expected=say("In a corrected sheet: what was wrong. It is passed over."),
)
"""A column that every table may have, and that is never read."""


@dataclass(frozen=True)
class Format:
    """A kind of table: its name, which its sheet has in a template, and its columns."""

    title: Text
    columns: tuple[Column, ...]

    def __getitem__(self, name: str) -> Column:
        """Return a column by its name."""
        return self._by_name[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all columns."""
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> list[str]:
        """Return the names of the columns that must be there."""
        return [column.name for column in self.columns if column.required]

    @cached_property
    def keys(self) -> dict[str, str]:
        """Return the names of columns by the keys of all their headings."""
        return {key(heading): column.name for column in (*self.columns, NOTES) for heading in headings(column)}

    @cached_property
    def wanted(self) -> Wanted:
        """Return what a child looks for."""
        instead = {one.name: one.instead for one in self.columns if one.instead}
        return Wanted(self.keys, self.required, instead, NOTES.name, list(MARKS), list(GUIDES))

    def empty(self, given: Mapping[str, str]) -> list[str]:
        """Return a row with these values by column, and blanks for the others."""
        return [given.get(name, "") for name in self.names]

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}


def headings(column: Column) -> Iterable[str]:
    """Return all headings of a column."""
    return (column.name, column.heading, *column.other)
