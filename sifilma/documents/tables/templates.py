"""Tables for people to fill in, and those that come back to be corrected: headings in their language, hints, an example, choices."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sifilma.documents.tables.columns import EXAMPLE, HINT, NOTES, REFERENCE, Column, Format, Kind
from sifilma.documents.tables.writing import book_parts, defused, sheet_name
from sifilma.kernel.text import Text

ROOM = 10_000
"""Rows below the heading that offer their choices."""
WIDTHS = {Kind.TEXT: 32, Kind.IDENTIFIER: 22, Kind.CODE: 40, Kind.NUMBER: 14, Kind.DAY: 14, Kind.CHOICE: 22}
"""Widths of columns, in characters."""
HINT_HEIGHT = 78
"""Points: five lines of a hint."""
_NUMBER = re.compile(r"-?\d{1,15}(?:[.,]\d{1,15})?")
Say = Callable[[str], str]


@dataclass(frozen=True)
class Lookup:
    """A sheet to look values up in. The first cell of each row is what the column takes, if it is for one; the sheet is never read."""

    title: Text
    header: tuple[Text, ...]
    rows: Sequence[Sequence[str]]
    column: str = ""


@dataclass(frozen=True)
class Filled:
    """A table with its rows, by the names of columns. `names` are the columns it has, all of its format's unless they are given.

    `guided`: what belongs in each column, and an example, stand above the rows. `noted`: a column of notes on errors (NOTES) stands at the
    end.
    """

    form: Format
    rows: Iterable[Mapping[str, str]]
    names: Sequence[str] = ()
    guided: bool = False
    noted: bool = False
    lookups: Sequence[Lookup] = ()

    @property
    def columns(self) -> list[Column]:
        """Return the columns in their order."""
        return [*(self.form[name] for name in self.names or self.form.names), *((NOTES,) if self.noted else ())]


def csv_table(filled: Filled, say: Say | None) -> bytes:
    """Return the table as CSV (UTF-8 with BOM). `say` translates; without it columns and choices have their names in the API."""
    out = io.StringIO(newline="")
    out.write("\ufeff")
    csv.writer(out).writerows([defused(cell) for cell in line] for line in _lines(filled, say))
    return out.getvalue().encode()


def xlsx_table(filled: Filled, say: Say | None) -> bytes:
    """Return the table as XLSX, with its look-up sheets. Identifiers are formatted as text, so that no program takes them for numbers."""
    return b"".join(book_parts(lambda book: _write(book, filled, say)))


def _lines(filled: Filled, say: Say | None) -> Iterator[list[str | float]]:
    columns = filled.columns
    yield [say(column.heading) if say else column.name for column in columns]
    if filled.guided and say:
        yield _guide(columns, [say(column.expected or "") for column in columns], say(HINT))
        examples = [_cell(column, column.example, say) for column in columns]
        plain = [column.kind is Kind.CHOICE or not column.example for column in columns]
        yield _guide(columns, examples, say(EXAMPLE), plain)
    for row in filled.rows:
        yield [_cell(column, row.get(column.name, ""), say) for column in columns]


def _guide(columns: Sequence[Column], texts: Sequence[str | float], mark: str, plain: Sequence[bool] = ()) -> list[str | float]:
    """Return a row that is none of the table's: its first cell says so, and of an example every cell that somebody could leave there."""
    marked = [not index or (bool(plain) and not plain[index]) for index in range(len(columns))]
    return [f"{mark} {text}" if is_marked else text for text, is_marked in zip(texts, marked, strict=True)]


def _cell(column: Column, value: str, say: Say | None) -> str | float:
    if column.kind is Kind.CHOICE and say and value in column.choices:
        return say(column.choices[value][0])
    if column.kind is Kind.NUMBER and _NUMBER.fullmatch(value):
        number = float(value.replace(",", "."))
        return int(number) if number.is_integer() else number
    return value


def _write(book: Any, filled: Filled, say: Say | None) -> None:
    styles = {
        "heading": book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bg_color": "#DCE6F1", "bottom": 1}),
        "guide": book.add_format({"italic": True, "text_wrap": True, "valign": "top", "font_color": "#595959"}),
        "text": book.add_format({"num_format": "@"}),
    }
    sheet = book.add_worksheet(sheet_name(say(filled.form.title) if say else filled.form.title))
    sheet.freeze_panes(1, 0)
    guides = 2 if filled.guided and say else 0
    for index, column in enumerate(filled.columns):
        sheet.set_column(index, index, WIDTHS[column.kind], styles["text"] if column.is_identifier else None)
    if guides:
        sheet.set_row(1, HINT_HEIGHT)
    for number, line in enumerate(_lines(filled, say)):
        for index, cell in enumerate(line):
            style = styles["heading"] if number == 0 else styles["guide"] if number <= guides else None
            if isinstance(cell, int | float):
                sheet.write_number(number, index, cell)
            elif cell or style:
                is_text = style is None and filled.columns[index].is_identifier
                sheet.write_string(number, index, cell, styles["text"] if is_text else style)
    _offer(sheet, filled, say, guides + 1, {lookup.column: _look_up(book, lookup, say, styles) for lookup in filled.lookups})


def _offer(sheet: Any, filled: Filled, say: Say | None, first: int, sources: Mapping[str, str]) -> None:
    """Let cells offer their choices. What is not among those of a look-up sheet is taken all the same: a code needs no name behind it."""
    for index, column in enumerate(filled.columns):
        if column.kind is Kind.CHOICE:
            words = [say(words[0]) if say else value for value, words in column.choices.items()]
            sheet.data_validation(first, index, first + ROOM, index, {"validate": "list", "source": words})
        elif column.name in sources:
            offered = {"validate": "list", "source": sources[column.name], "show_error": False}
            sheet.data_validation(first, index, first + ROOM, index, offered)


def _look_up(book: Any, lookup: Lookup, say: Say | None, styles: Mapping[str, Any]) -> str:
    """Write a look-up sheet. Return the range of its values."""
    say = say or str
    name = sheet_name(say(lookup.title))
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(2, 0)
    sheet.set_column(0, len(lookup.header) - 1, WIDTHS[Kind.CODE] if len(lookup.header) > 3 else WIDTHS[Kind.TEXT], styles["text"])
    sheet.write_string(0, 0, f"{say(REFERENCE)} {say(lookup.title)}", styles["heading"])
    for index, heading in enumerate(lookup.header):
        sheet.write_string(1, index, say(heading), styles["heading"])
    for number, row in enumerate(lookup.rows, start=2):
        for index, cell in enumerate(row):
            sheet.write_string(number, index, cell, styles["text"])
    last = max(len(lookup.rows), 1) + 1
    sheet.autofilter(1, 0, last, len(lookup.header) - 1)
    return f"='{name}'!$A$3:$A${last + 1}"
