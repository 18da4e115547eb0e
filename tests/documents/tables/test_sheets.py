"""Reading and writing tables: files as offices and manufacturers send them, and harmful files."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence

import pytest

from sifilma.documents.tables import sheets
from sifilma.kernel import deadline
from sifilma.kernel.errors import Invalid, Unavailable
from tests.documents.files import frugal, plain_form, rezipped, xlsx

SHEET = "xl/worksheets/sheet1.xml"
NUMBERED = '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'


FORM = plain_form(("hardware_number", "pcid"), ("note",))


def read(data: bytes, max_rows: int = 1000) -> list[tuple[int, dict[str, str]]]:
    sheet = sheets.read(data, FORM, max_rows=max_rows)
    assert not sheet.faults
    return [(row.number, row.cells) for row in sheet.rows]


CSV = {
    "comma": b"hardware_number,pcid\r\nA-1,00AA\r\n",
    "semicolon": b"hardware_number;pcid\nA-1;00AA\n",
    "byte order mark": b"\xef\xbb\xbfhardware_number,pcid\nA-1,00AA\n",
    "quotes and capitals": b'"Hardware_Number", PCID \n"A-1"," 00AA "\n',
    "blank columns at the end": b"hardware_number,pcid,,\nA-1,00AA,,\n",
}


@pytest.mark.parametrize("data", CSV.values(), ids=CSV.keys())
def test_csv_is_read_in_the_variants_that_programs_write(data: bytes) -> None:
    assert read(data) == [(2, {"hardware_number": "A-1", "pcid": "00AA"})]


def test_windows_1252_text_is_read() -> None:
    assert read("hardware_number;pcid;note\nA;B;café\n".encode("cp1252"))[0][1]["note"] == "café"


def test_xlsx_is_read_and_recognised() -> None:
    sheet = sheets.read(xlsx(["pcid", "hardware_number"], ["00AA", "A-1"]), FORM)
    assert (sheet.media_type, sheet.rows[0].cells) == (sheets.XLSX_TYPE, {"pcid": "00AA", "hardware_number": "A-1"})


def comma_separated(*lines: Sequence[object]) -> bytes:
    return "\n".join(",".join(map(str, line)) for line in lines).encode()


@pytest.mark.parametrize("make", [xlsx, comma_separated])
def test_row_numbers_equal_those_of_the_file(make: Callable[..., bytes]) -> None:
    data = make(["hardware_number", "pcid"], ["A", "1"], ["", ""], ["B", "2"])
    assert [number for number, _ in read(data)] == [2, 4]


def test_numbers_in_cells_are_read_as_typed() -> None:
    data = xlsx(["hardware_number", "pcid", "note"], [20001, 1.5, True], [7.0, -8.65432, ""])
    assert [list(cells.values()) for _, cells in read(data)] == [["20001", "1.5", "TRUE"], ["7", "-8.65432", ""]]


def test_a_long_number_in_a_numeric_cell_is_a_fault_of_its_cell() -> None:
    data = xlsx(["hardware_number", "pcid"], ["A", 3015450100001234], ["B", "00AA"], ["C", 1e30])
    faults = sheets.read(data, FORM).faults
    assert [(fault.row, fault.column) for fault in faults] == [(2, "pcid"), (4, "pcid")]
    assert "Format the column as text" in faults[0].message


def test_a_value_without_a_column_name_is_a_fault_of_its_cell() -> None:
    sheet = sheets.read(b"hardware_number,pcid\nA,B,lost\n", FORM)
    assert [(fault.row, fault.message) for fault in sheet.faults] == [(2, "C2 holds a value, but its column has no name.")]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"hardware_number", "Columns are missing: pcid. Row 1 names: hardware_number."),
        (b"hardware_number,pcid,pcid", "Columns are given twice: pcid"),
        (b"hardware_number,pcid,noted", "C1 says “noted”: did you mean “note”"),
        (b"hardware_number,pcidd", "Columns are missing: pcid. .* B1 says “pcidd”: did you mean “pcid”"),
    ],
)
def test_the_columns_are_checked_by_name(header: bytes, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        read(header + b"\nA,B\n")


def test_an_unknown_column_is_passed_over_with_a_warning() -> None:
    sheet = sheets.read(b"hardware_number,pcid,price\nA,B,5\n,,6\n", FORM)
    assert [row.cells for row in sheet.rows] == [{"hardware_number": "A", "pcid": "B"}]
    assert sheet.warnings == ["These columns are not known, and were passed over: price (C)."]


def test_a_thousand_rows_are_accepted_and_one_more_is_not() -> None:
    lines = [["hardware_number", "pcid"], *([f"A-{n}", f"{n:032X}"] for n in range(1001))]
    assert len(read(xlsx(*lines[:-1]))) == 1000
    with pytest.raises(Invalid, match="at most 1000"):
        read(xlsx(*lines))
    with pytest.raises(Invalid, match="at most 1000"):
        read(comma_separated(*lines))


def test_blank_rows_are_none_wherever_they_stand() -> None:
    gap = b"hardware_number,pcid\nA,1\n" + b"\n" * 500 + b" ,\n" + b"B,2\n" + b",\n" * 500
    for data, rows in ((gap, [2, 504]), (xlsx(["hardware_number", "pcid"], ["A", "1"], far=(500, 0)), [2, 501])):
        assert [number for number, _ in read(data, max_rows=2)] == rows
        with pytest.raises(Invalid, match="at most 1 are accepted"):
            read(data, max_rows=1)


NOT_A_TABLE = {
    "empty": b"",
    "header only": b"hardware_number,pcid\n",
    "empty workbook": xlsx(),
    "photo": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "undefined bytes": b"hardware_number,pcid\n\x81\x8d,B\n",
    "open quote": b'hardware_number,pcid\n"A,B\n',
    "cut archive": xlsx(["hardware_number", "pcid"], ["A", "B"])[:-40],
    "archive of something else": rezipped(b"PK\x05\x06" + bytes(18), {"readme.txt": b"hello"}),
    "broken sheet": rezipped(xlsx(["hardware_number", "pcid"]), {SHEET: b"<worksheet><sheetData><row"}),
}


@pytest.mark.parametrize("data", NOT_A_TABLE.values(), ids=NOT_A_TABLE.keys())
def test_an_unreadable_file_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        read(data)


def lying(data: bytes) -> bytes:
    """Return the archive with a directory that declares 100 bytes for the unpacked sheet."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = archive.getinfo(SHEET).file_size
    return data.replace(struct.pack("<I", size), struct.pack("<I", 100))


def overlapping() -> bytes:
    """Return an archive with two entries that share their data (CVE-2024-0450).

    The first entry contains the header of the second in a stored block and continues with the second's data.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = packer.compress(b"0" * 100_000) + packer.flush()

    def header(name: bytes, packed: bytes, plain: bytes) -> tuple[bytes, bytes]:
        fields = struct.pack("<HHHHHIIIHH", 20, 0, zipfile.ZIP_DEFLATED, 0, 33, zlib.crc32(plain), len(packed), len(plain), len(name), 0)
        return b"PK\x03\x04" + fields + name, b"PK\x01\x02\x14\0" + fields + b"\0" * 10

    local_b, central_b = header(b"b.xml", kernel, b"0" * 100_000)
    quoted = b"\0" + struct.pack("<HH", len(local_b), len(local_b) ^ 0xFFFF) + local_b + kernel
    local_a, central_a = header(b"a.xml", quoted, local_b + b"0" * 100_000)
    body, offset_b = local_a + quoted, len(local_a) + 5
    directory = central_a + struct.pack("<I", 0) + b"a.xml" + central_b + struct.pack("<I", offset_b) + b"b.xml"
    return body + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 2, 2, len(directory), len(body), 0)


GOOD = xlsx(["hardware_number", "pcid"], ["A", "B"])
FULL = "".join(f'<row r="{n}"><c r="A{n}"><v>1</v></c></row>' for n in range(1, 1500))
A_FILE = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><worksheet/>'
TOO_LARGE, UNREADABLE, ENTITIES = "unreasonable size|damaged", "cannot be read", "declares entities"
TOO_WIDE = "more than 100 columns"
HARMFUL: dict[str, tuple[str, Callable[[], bytes]]] = {
    "200 MB of blanks": (TOO_LARGE, lambda: rezipped(GOOD, {SHEET: b" " * (200 * 1024 * 1024)})),
    "a size that is not true": (TOO_LARGE, lambda: lying(rezipped(GOOD, {SHEET: b"0" * 5_000_000}))),
    "entries that overlap": ("unreasonable size", overlapping),
    "10,000 entries": (TOO_LARGE, lambda: rezipped(GOOD, {f"xl/x{n}.xml": b"" for n in range(10_000)})),
    "another compression": (TOO_LARGE, lambda: rezipped(GOOD, {}, zipfile.ZIP_LZMA)),
    "two cells far apart": (TOO_WIDE, lambda: xlsx(["hardware_number", "pcid"], far=(1_048_575, 16_383))),
    "a row without end": (
        TOO_WIDE,
        lambda: rezipped(GOOD, {SHEET: (NUMBERED % (f"<row>{'<c><v>1</v></c>' * 1_000_000}</row>" + FULL)).encode()}),
    ),
    "entities": (ENTITIES, lambda: rezipped(GOOD, {SHEET: A_FILE})),
    "entities behind a comment": (ENTITIES, lambda: rezipped(GOOD, {SHEET: b"<!--" + b" " * 2_000_000 + b"--><!DOCTYPE a><worksheet/>"})),
    "too many columns": (TOO_WIDE, lambda: xlsx(["hardware_number", "pcid"], far=(1, 200))),
    "a row that no sheet has": (
        UNREADABLE,
        lambda: rezipped(GOOD, {SHEET: (NUMBERED % '<row r="99999999999"><c><v>1</v></c></row>').encode()}),
    ),
}


@pytest.mark.parametrize(("message", "make"), HARMFUL.values(), ids=HARMFUL.keys())
def test_a_harmful_workbook_is_refused_quickly_and_without_much_memory(message: str, make: Callable[[], bytes]) -> None:
    data = make()
    with frugal(megabytes=50, seconds=5), pytest.raises(Invalid, match=message):
        read(data)


def test_a_csv_of_line_ends_needs_little_memory() -> None:
    data = b"hardware_number,pcid\nA,B\n" + b"\n" * 10_000_000
    with frugal(megabytes=50, seconds=5):
        assert len(read(data)) == 1


WIDE = {
    "20 million cells": b"hardware_number,pcid" + b"," * 20_000_000 + b"\nA,B,C",
    "in a later row": b"hardware_number,pcid\nA,B" + b",C" * 100,
    "quoted": b"hardware_number,pcid\n" + b'"A",' * 101 + b'"B"\n',
    "with semicolons": b"hardware_number;pcid\nA;B" + b";C" * 99,
}


@pytest.mark.parametrize("data", WIDE.values(), ids=WIDE.keys())
def test_a_csv_of_more_than_a_hundred_columns_is_refused_in_words(data: bytes) -> None:
    with frugal(megabytes=50, seconds=5), pytest.raises(Invalid) as refused:
        read(data)
    assert refused.value.errors == [{"field": "batch", "message": "The CSV file has more than 100 columns."}]


def test_a_text_longer_than_a_spreadsheet_takes_is_refused_by_its_place() -> None:
    for data in (comma_separated(["hardware_number", "pcid"], ["A", "1"], ["B", "x" * 40_000]), long_text()):
        with pytest.raises(Invalid, match="The text in row 3, column 2 is longer than 32767 characters"):
            read(data)


def long_text() -> bytes:
    """Return a workbook with a text of 40,000 characters, which the writer of the tests refuses to write."""
    book = xlsx(["hardware_number", "pcid"], ["A", "1"], ["B", "x" * 9000])
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        texts = archive.read("xl/sharedStrings.xml")
    return rezipped(book, {"xl/sharedStrings.xml": texts.replace(b"x" * 9000, b"x" * 40_000)})


def test_reading_a_file_ends_at_the_deadline_of_its_request() -> None:
    book = xlsx(["pcid", "hardware_number"], ["00AA", "A-1"])
    with deadline.limit(0.5), pytest.raises(Unavailable):
        read(book)
    with deadline.limit(10):
        assert len(read(book)) == 1
