"""Find the heading of a table: which row names the columns, by whichever of their names. It runs in the child process."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sifilma.documents.reader_refusals import NO_HEADING, TWO_COLUMNS, TWO_SHEETS, NotAccepted

SEARCHED = 20
"""The filled rows in which the heading is looked for: above it may stand a title, a date, the name of an office."""
LONGEST = 100
"""Characters that count of a heading."""
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
_REMARK = re.compile(r"\([^()]*\)")

Cell = str | list[str]
"""A text; or, of what is no text, a pair of its kind (a constant of `answer`) and its text."""
Line = tuple[int, Sequence[Cell]]
"""A row of a sheet: its number, counted from 1, and its cells from the first column on."""


def key(heading: str) -> str:
    """Return what counts of a heading: its letters and digits in lower case. Remarks in brackets do not, unless there is nothing else."""
    plain = unicodedata.normalize("NFKC", heading).casefold()
    return _letters(_REMARK.sub(" ", plain)) or _letters(plain)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def text_of(cell: Cell) -> str:
    """Return the text of a cell, without blanks around it, and without characters that nobody sees."""
    return (cell if isinstance(cell, str) else cell[1]).strip().strip(INVISIBLE).strip()


@dataclass(frozen=True)
class Wanted:
    """The columns to look for: the name of each by the keys of its headings, those that must be there, and the one that is passed over.

    `instead` names, for some that must be there, another column that takes their place.

    A row whose first cell begins with one of `guides` is no row of the table, and a sheet that begins with one of `marks` is no table.
    """

    names: dict[str, str]
    required: list[str]
    instead: dict[str, str]
    notes: str
    marks: list[str]
    guides: list[str]

    @classmethod
    def of(cls, packed: str) -> Wanted:
        """Return what `packed` says."""
        return cls(**json.loads(packed))

    def packed(self) -> str:
        """Return this as text, for the arguments of a process."""
        return json.dumps(self.__dict__)


@dataclass
class Heading:
    """A row that names columns: its number, the text of each cell, and the name of each column, empty if it is none of those wanted."""

    row: int
    texts: list[str]
    names: list[str]

    def missing(self, wanted: Wanted) -> list[str]:
        """Return the columns that must be there and are not."""
        return [name for name in wanted.required if name not in self.names and wanted.instead.get(name) not in self.names]


@dataclass
class Candidate:
    """A sheet with its heading, if it has one: the rows that follow it, and otherwise the row that comes nearest to one."""

    sheet: str
    rows: Iterator[Line] = field(default_factory=lambda: iter(()))
    heading: Heading | None = None
    nearest: Heading | None = None

    @property
    def named(self) -> int:
        """Return how many columns its heading names, or the row that comes nearest to one."""
        heading = self.heading or self.nearest
        return _named(heading) if heading else -1


def look(sheet: str, rows: Iterable[Line], wanted: Wanted) -> Candidate:
    """Return a sheet with its heading, the first row that names all columns that must be there."""
    found, coming, filled = Candidate(sheet), iter(rows), 0
    for number, cells in coming:
        texts = [text_of(cell)[:LONGEST] for cell in cells]
        if not any(texts):
            continue
        if filled == 0 and marked(texts, wanted.marks):
            return found
        heading = Heading(number, texts, [wanted.names.get(key(text), "") if text else "" for text in texts])
        if not heading.missing(wanted):
            return Candidate(sheet, coming, heading)
        if found.nearest is None or _named(heading) > _named(found.nearest):
            found.nearest = heading
        filled += 1
        if filled == SEARCHED:
            break
    return found


def _named(heading: Heading) -> int:
    return len(set(heading.names) - {""})


def marked(texts: Iterable[str], marks: Sequence[str]) -> bool:
    """Return whether the first filled cell of a row begins with one of the marks."""
    return next(filter(None, texts), "").casefold().startswith(tuple(marks))


def chosen(candidates: Iterable[Candidate], wanted: Wanted) -> Candidate:
    """Return the one sheet that has the heading. Raise NotAccepted if none or several have, or if the heading names a column twice."""
    looked = list(candidates)
    fitting = [one for one in looked if one.heading is not None]
    if len(fitting) > 1:
        raise NotAccepted(TWO_SHEETS, sheets=[one.sheet for one in fitting])
    if not fitting:
        best = max(looked, key=lambda one: one.named, default=Candidate(""))
        near = best.nearest or Heading(0, [], [])
        raise NotAccepted(NO_HEADING, sheet=best.sheet, row=near.row, texts=near.texts, missing=near.missing(wanted))
    heading = fitting[0].heading
    assert heading is not None  # noqa: S101  # as chosen
    twice = sorted({name for name in heading.names if name and name != wanted.notes and heading.names.count(name) > 1})
    if twice:
        raise NotAccepted(TWO_COLUMNS, names=twice)
    return fitting[0]


def filled_rows(found: Candidate, wanted: Wanted, most: int, hollow: list[int]) -> Iterator[Line]:
    """Yield the first `most` rows below the heading that hold anything in a column that counts.

    Passed over are rows that are blank in all columns of the table, and those that `marked` finds. A row of formulas without a value, and
    nothing else, is blank too, since sheets are prepared that way for rows to come; its number is added to `hollow`.
    """
    heading = found.heading
    assert heading is not None  # noqa: S101  # the caller's
    counts = [bool(name) and name != wanted.notes for name in heading.names]
    ignored = [bool(text) and not counted for text, counted in zip(heading.texts, counts, strict=True)]
    for number, line in found.rows:
        cells = ["" if index < len(ignored) and ignored[index] else cell for index, cell in enumerate(line)] if any(ignored) else line
        texts = [text_of(cell) for cell in cells]
        if not any(texts):
            if any(not isinstance(cell, str) for cell, counted in zip(cells, counts, strict=False) if counted):
                hollow.append(number)
        elif not marked((text for text, counted in zip(texts, counts, strict=False) if counted), wanted.guides):
            yield number, cells
            most -= 1
            if not most:
                return
