"""The check of a cell of a file: what of it a column takes, its characters and its length. The rest is the schema's of its row."""

from __future__ import annotations

import re
from typing import TypeGuard

from sifilma.documents.tables.answer import DAY, FAULT, NO_VALUE, NUMBER, TRUTH, WHOLE
from sifilma.documents.tables.columns import AND_NAME, EXAMPLES, Column, Kind
from sifilma.documents.tables.headings import Cell, text_of
from sifilma.kernel.text import Text, say
from sifilma.web.characters import is_fit

LONGEST = 4000  # characters; no field takes more, and a column of errors that comes back has its place
SHORT = 40
TRUTHS = ("TRUE", "FALSE")
LENGTHS_OF_TRUTHS = (4, 5)
DIGITS = 15
"""A spreadsheet keeps this many digits of a number; the others become zeros."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00", "＝", "＋", "－", "＠")  # with the full-width forms (ASVS 5.0, 1.2.10)
UNREAD = "#? "
"""Before what was in a cell that could not be taken, where the sheet is given back: it is refused again until somebody writes it anew."""
AS_TEXT = say("Format the column as text (Format Cells, Number, Text), then type the value again.")
_FAULT = re.compile(r"#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|SPILL!|CALC!|FIELD!|BLOCKED!|GETTING_DATA|NV)", re.IGNORECASE)
_MONTH = "(?:Jan|Feb|Mar|Apr|Mei|May|Jun|Jul|Agu|Agt|Aug|Sep|Okt|Oct|Nov|Des|Dec)"
_DATE = re.compile(
    rf"(?:\d{{1,2}}-)?{_MONTH}-\d\d|\d{{1,2}}-{_MONTH}(?:-\d{{4}})?"
    r"|(?:\d{1,2}([/-])\d{1,2}\1(?:19|20)\d\d|(?:19|20)\d\d([/-])\d{1,2}\2\d{1,2})(?: \d{1,2}:\d\d(?::\d\d)?)?"
)
"""How a spreadsheet program writes a date into a CSV file, where it took an identifier for one: `12-Mar`, `Mar-26`, `12/03/2026`."""
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d+)?E[+-]\d{1,3}", re.IGNORECASE)


def is_plain(cell: Cell) -> TypeGuard[str]:
    """Return whether a cell of a column without choices is taken as it stands: a short text of letters, digits and dashes, no date."""
    if not isinstance(cell, str) or len(cell) > SHORT:
        return False
    if cell.isalnum() and cell.isascii():
        return len(cell) not in LENGTHS_OF_TRUTHS or cell.upper() not in TRUTHS
    bare = cell.replace("-", "")
    if not (bare.isalnum() and bare.isascii()):
        return False
    return not (_DATE.fullmatch(cell) or _SCIENTIFIC.fullmatch(cell))


def taken(cell: Cell, column: Column, place: str) -> tuple[str, Text | None]:
    """Return the text that a column takes of a cell, and what is wrong with it in words, or None. `place` is the cell's name: `B7`.

    The text of a cell that cannot be taken says so itself, should it come back (UNREAD).
    """
    text = text_of(cell)
    kind = None if isinstance(cell, str) else cell[0]
    if kind is None:
        text = _without_mark(text, column)
    wrong = _wrong_text(text, column, place) if kind is None else _wrong_kind(kind, text, column, place)
    if wrong is not None:
        return text if _FAULT.fullmatch(text) or text.startswith(UNREAD) else UNREAD + text, wrong
    return column.value_of(_code(text) if column.kind is Kind.CODE else text), None


def _wrong_kind(kind: str, text: str, column: Column, place: str) -> Text | None:
    """Return what is wrong with a cell that is no text."""
    if kind == FAULT:
        return say("%(cell)s holds the spreadsheet's error %(value)s. Write the value there.", cell=place, value=text[:20])
    if kind == NO_VALUE:
        return say(
            "%(cell)s holds a formula without a value. Open the file in a spreadsheet program and save it, or write the value.", cell=place
        )
    if kind in (WHOLE, NUMBER):
        return _wrong_number(kind, text, column, place)
    if kind == DAY and (column.is_identifier or column.kind is Kind.NUMBER):
        return say("%(cell)s holds a date or a time. %(how)s", cell=place, how=AS_TEXT)
    if kind == TRUTH and column.kind is not Kind.TEXT:
        return say("%(cell)s holds %(value)s (true or false). %(how)s", cell=place, value=text, how=AS_TEXT)
    return None


def _wrong_number(kind: str, text: str, column: Column, place: str) -> Text | None:
    if column.kind is not Kind.NUMBER and len(text.strip("-").partition(".")[0]) > DIGITS:
        return say("%(cell)s holds a long number that has lost digits. %(how)s", cell=place, how=AS_TEXT)
    if kind == NUMBER and column.is_identifier:
        return say(
            "%(cell)s holds a number that may not be shown as it is stored (%(value)s). %(how)s", cell=place, value=text, how=AS_TEXT
        )
    return None


def _wrong_text(text: str, column: Column, place: str) -> Text | None:
    if _FAULT.fullmatch(text):
        return _wrong_kind(FAULT, text, column, place)
    if text.startswith(UNREAD.strip()):
        return say("%(cell)s could not be read and is not corrected yet. Write the value anew, as text.", cell=place)
    if text.casefold().startswith(EXAMPLES):
        return say("%(cell)s still holds the example of the template.", cell=place)
    if column.is_identifier and _DATE.fullmatch(text):
        return _wrong_kind(DAY, text, column, place)
    if column.is_identifier and text.upper() in TRUTHS:
        return _wrong_kind(TRUTH, text, column, place)
    if column.is_identifier and _SCIENTIFIC.fullmatch(text):
        return say(
            "%(cell)s holds a number in scientific notation, which has lost digits (%(value)s). %(how)s",
            cell=place,
            value=text,
            how=AS_TEXT,
        )
    return wrong_with(text)


def _without_mark(text: str, column: Column) -> str:
    """Return a text without the quote that makes it text: the one before a formula, as `write_csv` puts it, and the one people type.

    An identifier has no line breaks: a cell that shows one on two lines holds them.
    """
    rest = text[1:]
    plain = rest if text.startswith("'") and (looks_like_formula(rest) or column.is_identifier) else text
    return " ".join(plain.split()) if column.is_identifier else plain


def _code(text: str) -> str:
    """Return the code of a choice that has a name behind it."""
    return text.partition(AND_NAME)[0].strip()


def looks_like_formula(text: str) -> bool:
    """Return whether a spreadsheet program could take a text for a formula."""
    return text.lstrip("'").startswith(FORMULA)


def wrong_with(text: str) -> Text | None:
    """Return what is wrong with the text of a cell, in words, or None."""
    if not is_fit(text):
        return say("This text has characters that cannot be kept.")
    return say("At most %(most)s characters are accepted.", most=LONGEST) if len(text) > LONGEST else None
