"""Read tables from CSV and XLSX: the rows of the one table in a file, with the faults of single cells, and warnings."""

from __future__ import annotations

import difflib
import io
import json
import sys
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from sifilma.documents import reader_refusals as reasons
from sifilma.documents.reading import lines_from_child, read_in_child
from sifilma.documents.tables.cells import is_plain, taken
from sifilma.documents.tables.columns import NOTES, Column, Format, headings
from sifilma.documents.tables.headings import key
from sifilma.kernel import deadline
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import Text, joined, say

T = TypeVar("T")
CSV_TYPE = "text/csv"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAX_ANSWER = 8 * 1024 * 1024
"""Bytes of all rows of a file as JSON: 10,000 rows of 800 bytes."""
BYTES_OF_ROW = 50
"""Of a file, about: by it is told how long it may take to read one."""
READ_WHOLE = 32 * 1024
"""Bytes of a file that is read without being measured first: it has some hundreds of rows."""
FAST = 1
"""The level at which rows are packed: half as small again costs three times as much."""
MOST_NAMED = 10
"""Headings that a sentence names."""
NAMELESS = Column("", say("a column without a name"))
NEAR = 0.8
"""How much of two headings must be the same (0 to 1) for the one to be taken for a slip of the other."""


@dataclass(frozen=True)
class Row:
    """One row: its number in the file, as a spreadsheet program counts, and its cells as text by column name."""

    number: int
    cells: dict[str, str]


@dataclass(frozen=True)
class RowError:
    """The fault of one cell, in words."""

    row: int
    column: str
    message: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fault in the shape of problem documents."""
        return {"row": self.row, "field": self.column, "message": self.message}


@dataclass(frozen=True)
class Sheet:
    """A table with the media type of its file, the columns it has (name and letter), its faults and its warnings."""

    media_type: str
    rows: list[Row]
    places: dict[str, str] = field(default_factory=dict)
    faults: list[RowError] = field(default_factory=list)
    warnings: list[Text] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns that the file has, in its order."""
        return list(self.places)

    def cell(self, row: int, column: str) -> str:
        """Return the name of a cell (`B7`), empty for a column that the file does not have."""
        return f"{self.places[column]}{row}" if column in self.places else ""

    def located(self, errors: Iterable[RowError]) -> list[dict[str, Any]]:
        """Return faults in the shape of problem documents, each with the name of its cell, in the order of the file."""
        found = sorted(errors, key=lambda error: (error.row, error.column))
        return [error.as_dict() | ({"cell": cell} if (cell := self.cell(error.row, error.column)) else {}) for error in found]

    def warning(self, row: int, column: str, message: str) -> Text:
        """Return a warning about a cell."""
        return say("Row %(row)s (%(cell)s): %(message)s", row=row, cell=self.cell(row, column) or column, message=message)


def read(data: bytes, form: Format, *, max_rows: int = 1000, field: str = "batch") -> Sheet:
    """Return the table in a CSV or XLSX file. Raise Invalid, with this field, if there is none, or more than one.

    Its heading names the columns, in any order, in Indonesian or English. Rows that are blank in all of them are none.
    """
    if not data.strip():
        raise Invalid.field(field, "The file is empty.")
    *lines, told = _lines(data, "xlsx" if _is_xlsx(data) else "csv", max_rows + 1, form, field)
    warnings = _unknown(form, told, field)
    if not lines:
        raise Invalid.field(field, "The file has a header but no rows.")
    if len(lines) > max_rows:
        raise Invalid.field(field, say("The file has too many rows; at most %(most)s are accepted.", most=max_rows))
    rows, faults = _rows(form, told, lines)
    warnings += _passed_over(told)
    return Sheet(_media_type(data), rows, _places(told), faults, warnings)


@dataclass(frozen=True)
class Packed:
    """Some rows of a table as they were read, packed: they come before their checks, and may wait. `start` counts the rows before them."""

    start: int
    count: int
    data: bytes


@dataclass(frozen=True)
class Measured:
    """A table of many rows: the media type of its file, its columns, how many rows it has, warnings, and the rows, packed in parts."""

    media_type: str
    places: dict[str, str]
    rows: int
    warnings: list[Text]
    parts: list[Packed]


def measure(data: bytes, form: Format, size: int, *, field: str = "batch") -> Measured:
    """Read a file once from its start to its end, and pack its rows, `size` in a part. None of them is checked.

    Raise Invalid as `read` does; there is no limit of rows.
    """
    if not data.strip():
        raise Invalid.field(field, "The file is empty.")
    # A row costs some fifty bytes at least, packed ones less: the request may take as long as so many may take.
    deadline.allow_for(len(data) // BYTES_OF_ROW)
    found: list[Packed] = []
    count = 0
    with _stream(data, form, field) as lines:
        heading = last = next(lines)
        for some in batched(lines, size):
            rows = [line for line in some if line.startswith(b"[")]
            if rows:
                found.append(Packed(count, len(rows), zlib.compress(b"\n".join((heading, *rows)), FAST)))
                count += len(rows)
            last = some[-1]
    told = json.loads(heading) | json.loads(last)
    warnings = _unknown(form, told, field)
    if not count:
        raise Invalid.field(field, "The file has a header but no rows.")
    return Measured(_media_type(data), _places(told), count, warnings + _passed_over(told), found)


def unpacked(data: bytes, form: Format, media_type: str = CSV_TYPE) -> Sheet:
    """Return the rows of a part as a table, with the faults of single cells."""
    heading, *lines = zlib.decompress(data).split(b"\n")
    return _part(media_type, form, json.loads(heading), lines)


def read_few(data: bytes, form: Format, most: int, *, field: str = "batch") -> Sheet | Measured:
    """Return the table in a file, or of one with more than `most` rows what `measure` does. Raise Invalid as `read` does."""
    if len(data) > READ_WHOLE and (found := measure(data, form, most, field=field)).rows > most:
        return found
    sheet = read(data, form, max_rows=sys.maxsize - 1, field=field)
    return sheet if len(sheet.rows) <= most else measure(data, form, most, field=field)


def parts(data: bytes, form: Format, size: int, *, field: str = "batch") -> Generator[Sheet]:
    """Yield the table in a file, `size` rows at a time. No more than these are held. Raise Invalid as `read` does."""
    with _stream(data, form, field) as lines:
        told = json.loads(next(lines))
        for some in batched((line for line in lines if line.startswith(b"[")), size):
            yield _part(_media_type(data), form, told, some)


def _part(media_type: str, form: Format, told: dict[str, Any], lines: Iterable[bytes]) -> Sheet:
    rows, faults = _rows(form, told, (json.loads(line.decode(errors="surrogatepass")) for line in lines))
    return Sheet(media_type, rows, _places(told), faults)


@contextmanager
def _stream(data: bytes, form: Format, field: str) -> Iterator[Iterator[bytes]]:
    """Give the lines of a child that reads the file. Raise Invalid, with the field, for what it refuses."""
    kind = "xlsx" if _is_xlsx(data) else "csv"
    try:
        with lines_from_child(f"{kind}-rows", data, form.wanted.packed()) as lines:
            yield lines
    except reasons.NotAccepted as refused:
        raise Invalid.field(field, _refusal(kind.upper(), refused, form)) from refused


def _is_xlsx(data: bytes) -> bool:
    # The content decides: name and media type are only the client's word.
    return data.startswith(b"PK\x03\x04")


def _media_type(data: bytes) -> str:
    return XLSX_TYPE if _is_xlsx(data) else CSV_TYPE


def _places(told: Mapping[str, Any]) -> dict[str, str]:
    return {name: letters(index) for index, name in enumerate(told["names"]) if name and name != NOTES.name}


def batched(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """Yield items in parts of `size`; the last one may be shorter."""
    left = iter(items)
    while some := tuple(islice(left, size)):
        yield some


def letters(index: int) -> str:
    """Return the letters of a column, counted from 0: `AB` for 27."""
    found = ""
    while index >= 0:
        index, letter = index // 26 - 1, index % 26
        found = chr(65 + letter) + found
    return found


def _rows(form: Format, told: dict[str, Any], lines: Iterable[list[Any]]) -> tuple[list[Row], list[RowError]]:
    """Return the rows, with a fault for every cell that cannot be taken as it is, and every value in a column without a name."""
    rows: list[Row] = []
    faults: list[RowError] = []
    columns = [_column(form, name, text) for name, text in zip(told["names"], told["texts"], strict=True)]
    names = [column.name for column in columns if column is not None]
    empty = dict.fromkeys(filter(None, names), "")
    plain = [column is not None and column is not NAMELESS and not column.choices for column in columns]
    for number, *line in lines:
        cells = empty.copy()
        for index, cell in enumerate(line):
            column = columns[index] if index < len(columns) else NAMELESS
            if column is None:
                continue
            # Nearly all cells of a long file: neither a word nor a number that a program wrote.
            if index < len(plain) and plain[index] and is_plain(cell):
                cells[column.name] = cell
                continue
            place = f"{letters(index)}{number}"
            text, wrong = taken(cell, column, place)
            if column is NAMELESS:
                wrong = say("%(cell)s holds a value, but its column has no name.", cell=place) if text else None
            else:
                cells[column.name] = text
            if wrong is not None:
                faults.append(RowError(number, column.name, wrong))
        rows.append(Row(number, cells))
    return rows, faults


def _column(form: Format, name: str, heading: str) -> Column | None:
    """Return the column of a heading: NAMELESS for a blank one, None for one that is passed over."""
    if not heading:
        return NAMELESS
    return form[name] if name and name != NOTES.name else None


def _unknown(form: Format, told: dict[str, Any], field: str) -> list[Text]:
    """Return a warning that names the columns nobody asked for. Raise Invalid if one looks like a column that is not there."""
    unknown = [(index, text) for index, (text, name) in enumerate(zip(told["texts"], told["names"], strict=True)) if text and not name]
    if slips := _slips(form, told):
        raise Invalid.field(field, joined(" ", slips))
    named = ", ".join(f"{text} ({letters(index)})" for index, text in unknown[:MOST_NAMED])
    return [say("These columns are not known, and were passed over: %(names)s.", names=named)] if unknown else []


def _slips(form: Format, told: Mapping[str, Any]) -> list[Text]:
    """Return a sentence for each heading that looks like that of a column which is not there."""
    known = [form.keys.get(key(text), "") for text in told["texts"]]
    absent = [form[name] for name in form.names if name not in known]
    found = []
    for index, text in enumerate(told["texts"]):
        near = next((column for column in absent if text and not known[index] and _is_near(text, column)), None)
        if near is not None:
            cell = f"{letters(index)}{told['row']}"
            found.append(say("%(cell)s says “%(found)s”: did you mean “%(meant)s”?", cell=cell, found=text, meant=near.heading))
    return found[:MOST_NAMED]


def _is_near(heading: str, column: Column) -> bool:
    return bool(difflib.get_close_matches(key(heading), [key(known) for known in headings(column)], n=1, cutoff=NEAR))


def _passed_over(told: Mapping[str, Any]) -> list[Text]:
    """Return warnings about rows: those that the sheet hides, and those of formulas without a value."""
    hidden, hollow = (_ranges(told[name]) for name in ("hidden", "hollow"))
    found = [say("These rows are hidden in the sheet, and were read all the same: %(rows)s.", rows=hidden)] if hidden else []
    if hollow:
        found.append(say("These rows hold only formulas without a value, and were passed over: %(rows)s.", rows=hollow))
    return found


def _ranges(numbers: Iterable[int]) -> str:
    """Return numbers in words: `2, 5–9, 12`."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1][1:] = [number]
        else:
            found.append([number])
    return ", ".join("–".join(map(str, ends)) for ends in found[:MOST_NAMED]) + (", …" if len(found) > MOST_NAMED else "")


def _lines(data: bytes, kind: str, most: int, form: Format, field: str) -> list[Any]:
    """Return the first `most` rows and the heading, read by a child process. Raise Invalid, with the field, for what it refuses."""
    try:
        answer = read_in_child(kind, data, most, MAX_ANSWER, form.wanted.packed(), most=MAX_ANSWER)
    except reasons.NotAccepted as refused:
        raise Invalid.field(field, _refusal(kind.upper(), refused, form)) from refused
    return [json.loads(line.decode(errors="surrogatepass")) for line in io.BytesIO(answer)]


def _refusal(kind: str, refused: reasons.NotAccepted, form: Format) -> Text:
    row, column, most = (refused.facts.get(name, "") for name in ("row", "column", "most"))
    about_columns = {reasons.NO_HEADING: _no_heading, reasons.TWO_SHEETS: _two_sheets, reasons.TWO_COLUMNS: _two_columns}
    if refused.reason in about_columns:
        return about_columns[refused.reason](form, refused.facts)
    return {
        reasons.TOO_LONG: say("The %(kind)s file takes too long to read.", kind=kind),
        reasons.TOO_MUCH: say("The %(kind)s file cannot be read: it holds too much.", kind=kind),
        reasons.BROKEN: say("The %(kind)s file cannot be read.", kind=kind),
        reasons.SYNTAX: say("The CSV file cannot be read at row %(row)s: a quotation mark is missing, or stands where none may.", row=row),
        reasons.NOT_A_TABLE: say("This is neither a CSV nor an XLSX file. Save the table as an Excel workbook (XLSX), and send that."),
        reasons.TOO_WIDE: say("The %(kind)s file has more than %(most)s columns.", kind=kind, most=most),
        reasons.LONG_TEXT: say(
            "The text in row %(row)s, column %(column)s is longer than %(most)s characters.", row=row, column=column, most=most
        ),
        reasons.UNPACKED: say("The XLSX file unpacks to an unreasonable size."),
        reasons.DAMAGED: say("The XLSX file is damaged or encrypted."),
        reasons.ENTITIES: say("The XLSX file declares entities; save it anew from a spreadsheet program."),
    }[refused.reason]


def _no_heading(form: Format, told: Mapping[str, Any]) -> Text:
    """Return a sentence that names what was looked for, and what was found instead."""
    found = ", ".join([text for text in told["texts"] if text][:MOST_NAMED])
    if not found:
        return say("The file has no row that names the columns. Looked for: %(columns)s.", columns=_headings(form, form.required))
    sentence = say(
        "Columns are missing: %(missing)s. Row %(row)s names: %(found)s.",
        missing=_headings(form, told["missing"]),
        row=told["row"],
        found=found,
    )
    where = [say("The sheet that comes nearest is “%(sheet)s”.", sheet=told["sheet"])] if told["sheet"] else []
    return joined(" ", [sentence, *where, *_slips(form, told)])


def _two_sheets(_form: Format, told: Mapping[str, Any]) -> Text:
    names = ", ".join(f"“{name}”" for name in told["sheets"][:MOST_NAMED])
    return say("Several sheets of the file hold such a table: %(sheets)s. Delete or hide all but one.", sheets=names)


def _two_columns(form: Format, told: Mapping[str, Any]) -> Text:
    return say("Columns are given twice: %(names)s.", names=_headings(form, told["names"]))


def _headings(form: Format, names: Sequence[str]) -> Text:
    return joined(", ", [form[name].heading for name in names])
