"""Read the sheets of an XLSX workbook row by row, in the child process: texts, numbers with what their format shows, errors, formulas.

No library says in two seconds what a cell shows (docs/decisions/0022). The archive is checked before it comes here (`xlsx_child`).
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from xml.parsers import expat

from sifilma.documents.reader_refusals import BROKEN, NOT_A_TABLE, TOO_WIDE, NotAccepted
from sifilma.documents.tables.answer import DAY, FAULT, MAX_COLUMNS, NO_VALUE, NUMBER, TRUTH, WHOLE
from sifilma.documents.tables.headings import Cell, Line, text_of

PIECE = 1024 * 1024  # bytes unpacked and parsed at a time; the parser begins a long comment anew with each
LAST_ROW = 1_048_576
EXACT = 10**15
"""Up to here a float holds every whole number; spreadsheets keep 15 digits."""
LAST_DAY = 2_958_466
"""The number that stands for the day after 9999-12-31."""
GENERAL, TEXT, OF_DAYS, OTHER = range(4)
"""What a number format shows: the digits, the digits as they stand (`@`), a date or time, anything else."""
BUILT_IN_DAYS = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_NOT_SHOWN_BY_LETTERS = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_LETTERS = re.compile(r"[A-Z]+")

Start = Callable[[str, dict[str, str]], None]


@dataclass
class Sheet:
    """A visible sheet: its name, the name of its part, and the numbers of the rows that it hides, of those read so far."""

    name: str
    part: str
    hidden: set[int] = field(default_factory=set)


class Workbook:
    """The parts of a workbook by their names in lower case with slashes: some programs write them in other ways than they refer to them."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._parts = {info.filename.replace("\\", "/").strip("/").lower(): info for info in archive.infolist()}
        self._main = next(self._related("", "officeDocument"), "xl/workbook.xml")
        if self._main not in self._parts or not self._main.endswith(".xml"):  # a text, a sheet of another program, a binary workbook
            raise NotAccepted(NOT_A_TABLE)
        self.starts_1904 = False
        self.sheets = self._sheets()

    def rows(self, sheet: Sheet) -> Iterator[Line]:
        """Yield the rows of a sheet that have a cell."""
        parser = _Rows(self, sheet)
        for _ in self._parsed(sheet.part, parser.start, parser.end, parser.text):
            yield from parser.taken()

    @cached_property
    def texts(self) -> list[str]:
        """Return the texts that cells name by their numbers."""
        part = next(self._related(self._main, "sharedStrings"), "")
        found = _Texts()
        if part in self._parts:
            self._parse(part, found.start, found.end, found.text)
        return found.all

    @cached_property
    def formats(self) -> list[int]:
        """Return what each style of a cell shows, by its number."""
        part = next(self._related(self._main, "styles"), "")
        found = _Formats()
        if part in self._parts:
            self._parse(part, found.start, found.end)
        return [found.shows(number) for number in found.styles]

    def _sheets(self) -> list[Sheet]:
        parts = dict(self._targets(self._main, "worksheet"))
        found: list[Sheet] = []

        def start(tag: str, given: dict[str, str]) -> None:
            if tag == "workbookPr":
                self.starts_1904 = given.get("date1904") in ("1", "true")
            elif tag == "sheet" and given.get("state", "visible") == "visible":
                ids = (value for name, value in given.items() if name.endswith(":id"))
                found.extend(Sheet(given.get("name", ""), parts[one]) for one in ids if one in parts)

        self._parse(self._main, start)
        return found

    def _related(self, part: str, kind: str) -> Iterator[str]:
        return (target for _, target in self._targets(part, kind))

    def _targets(self, part: str, kind: str) -> list[tuple[str, str]]:
        """Return the ids and names of the parts of a kind that a part refers to; the archive itself if `part` is empty."""
        folder, name = posixpath.split(part)
        found: list[tuple[str, str]] = []

        def start(tag: str, given: dict[str, str]) -> None:
            if tag == "Relationship" and given.get("Type", "").endswith(f"/{kind}"):
                target = posixpath.normpath(posixpath.join("/" + folder, given.get("Target", "").replace("\\", "/")))
                found.append((given.get("Id", ""), target.strip("/").lower()))

        relations = f"{folder}/_rels/{name}.rels".lstrip("/")
        if relations in self._parts:
            self._parse(relations, start)
        return found

    def _parse(self, part: str, start: Start, end: Callable[[str], None] | None = None, text: Callable[[str], None] | None = None) -> None:
        for _ in self._parsed(part, start, end, text):
            pass

    def _parsed(
        self, part: str, start: Start, end: Callable[[str], None] | None = None, text: Callable[[str], None] | None = None
    ) -> Iterator[None]:
        """Parse a part, and yield after each piece of it. Elements are named without the prefix of their namespace, which may be any.

        Raise NotAccepted for what is no XML, or is not there.
        """
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = lambda tag, given: start(tag.rpartition(":")[2], given)
        if end is not None:
            parser.EndElementHandler = lambda tag: end(tag.rpartition(":")[2])
        if text is not None:
            parser.CharacterDataHandler = text
        try:
            with self._archive.open(self._parts[part]) as handle:
                while piece := handle.read(PIECE):
                    parser.Parse(piece)
                    yield
            parser.Parse(b"", True)
            yield
        except (expat.ExpatError, KeyError, ValueError, IndexError) as broken:
            raise NotAccepted(BROKEN) from broken


class _Texts:
    """The shared texts. A text may be made of runs; its reading aid (`rPh`) is no part of it."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._pieces: list[str] = []
        self._reads = self._aid = False

    def start(self, tag: str, _given: dict[str, str]) -> None:
        if tag == "si":
            self._pieces = []
        elif tag == "rPh":
            self._aid = True
        elif tag == "t":
            self._reads = not self._aid

    def text(self, data: str) -> None:
        if self._reads:
            self._pieces.append(data)

    def end(self, tag: str) -> None:
        if tag == "t":
            self._reads = False
        elif tag == "rPh":
            self._aid = False
        elif tag == "si":
            self.all.append(unescaped("".join(self._pieces)))


class _Formats:
    """The styles of cells, as numbers of their formats, and the formats that are written out."""

    def __init__(self) -> None:
        self.styles: list[int] = []
        self._codes: dict[int, str] = {}
        self._within = False

    def start(self, tag: str, given: dict[str, str]) -> None:
        if tag == "numFmt":
            self._codes.setdefault(int(given["numFmtId"]), given.get("formatCode", ""))
        elif tag == "cellXfs":
            self._within = True
        elif tag == "xf" and self._within:
            self.styles.append(int(given.get("numFmtId", "0")))

    def end(self, tag: str) -> None:
        if tag == "cellXfs":
            self._within = False

    def shows(self, number: int) -> int:
        """Return what a format shows."""
        code = self._codes.get(number)
        if code is None:
            return {0: GENERAL, 49: TEXT}.get(number, OF_DAYS if number in BUILT_IN_DAYS else OTHER)
        plain = _NOT_SHOWN_BY_LETTERS.sub("", code).lower()
        if plain in ("general", "@"):
            return GENERAL if plain == "general" else TEXT
        return OF_DAYS if any(letter in plain.replace("general", "") for letter in "ymdhs") else OTHER


def unescaped(text: str) -> str:
    """Return a text with the characters that XML cannot hold, which a workbook writes as `_x000D_`."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


class _Rows:
    """Collects the rows of a sheet while it is parsed. `taken` hands out those that are complete."""

    def __init__(self, book: Workbook, sheet: Sheet) -> None:
        self._book, self._sheet = book, sheet
        self._rows: list[Line] = []
        self._cells: list[Cell] = []
        self._row = self._column = 0
        self._kind, self._style, self._formula = "", 0, False
        self._value: list[str] | None = None
        self._reads = self._aid = False

    def taken(self) -> list[Line]:
        rows, self._rows = self._rows, []
        return rows

    def start(self, tag: str, given: dict[str, str]) -> None:
        if tag == "c":
            self._column = _column(given["r"]) if "r" in given else self._column + 1
            self._kind, self._style = given.get("t", "n"), int(given.get("s", "0"))
            self._formula, self._value = False, None
        elif tag == "v" or (tag == "t" and not self._aid):
            self._value = self._value or []
            self._reads = True
        elif tag == "f":
            self._formula = True
        elif tag == "rPh":
            self._aid = True
        elif tag == "row":
            self._row = int(given["r"]) if "r" in given else self._row + 1
            self._column, self._cells = 0, []
            if not 0 < self._row <= LAST_ROW:
                raise NotAccepted(BROKEN)
            if given.get("hidden") in ("1", "true"):
                self._sheet.hidden.add(self._row)

    def text(self, data: str) -> None:
        if self._reads and self._value is not None:
            self._value.append(data)

    def end(self, tag: str) -> None:
        if tag in ("v", "t"):
            self._reads = False
        elif tag == "rPh":
            self._aid = False
        elif tag == "c":
            self._put(self._cell())
        elif tag == "row" and self._cells:
            self._rows.append((self._row, self._cells))
            self._cells = []

    def _put(self, cell: Cell) -> None:
        if cell == "":
            return
        if self._column > MAX_COLUMNS:
            if text_of(cell):
                raise NotAccepted(TOO_WIDE, most=MAX_COLUMNS)
            return
        self._cells += [""] * (self._column - len(self._cells))
        self._cells[self._column - 1] = cell

    def _cell(self) -> Cell:
        """Return the cell that has just ended: a text, or its kind and its text."""
        value = "".join(self._value or ())
        match self._kind:
            case "s":
                if value.startswith("-"):
                    raise NotAccepted(BROKEN)
                return self._book.texts[int(value)] if value else ""
            case "e":
                return [FAULT, value or "#N/A"]
            case "b" if value:
                return [TRUTH, "TRUE" if value in ("1", "true") else "FALSE"]
            case "d" if value:
                return [DAY, value]
            case "str" if self._value is not None:
                return unescaped(value)
            case "inlineStr":
                return unescaped(value)
        if value:
            return self._number(float(value))
        return [NO_VALUE, ""] if self._formula else ""

    def _number(self, value: float) -> Cell:
        formats = self._book.formats
        shows = formats[self._style] if 0 <= self._style < len(formats) else GENERAL
        if shows == OF_DAYS and 0 <= value < LAST_DAY:
            return [DAY, _day(value, self._book.starts_1904)]
        if value.is_integer():
            return [WHOLE if shows in (GENERAL, TEXT) and abs(value) < EXACT else NUMBER, str(int(value))]
        return [NUMBER, f"{value:.15g}"]


def _column(place: str) -> int:
    """Return the number of a cell's column: 28 for `AB12`."""
    found = _LETTERS.match(place)
    number = 0
    for letter in found[0] if found else "":
        number = number * 26 + ord(letter) - 64
    return number


def _day(number: float, starts_1904: bool) -> str:
    """Return a date, a time, or both, as in ISO 8601, for the days since the calendar's start (Excel has a 29 February 1900)."""
    start = datetime(1904, 1, 1) if starts_1904 else datetime(1899, 12, 30 if number >= 61 else 31)  # noqa: DTZ001  # a day has no zone
    found: Any = start + timedelta(seconds=round(number * 86400))
    if number < 1:
        return str(found.time().isoformat())
    return str(found.date().isoformat() if found.time() == datetime.min.time() else found.isoformat())
