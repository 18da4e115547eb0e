"""Reading and writing tables: files as offices and manufacturers send them, and harmful files."""

from __future__ import annotations

import io
import struct
import tempfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sifilma.documents import sheets
from sifilma.documents.cells import LONGEST
from sifilma.kernel import deadline
from sifilma.kernel.errors import Invalid, Unavailable
from tests.documents.files import rezipped, xlsx

SHEET = "xl/worksheets/sheet1.xml"
NUMBERED = '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'


def read(data: bytes, max_rows: int = 1000) -> list[tuple[int, dict[str, str]]]:
    sheet = sheets.read(data, required=("hardware_number", "pcid"), optional=("note",), max_rows=max_rows)
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
    sheet = sheets.read(xlsx(["pcid", "hardware_number"], ["00AA", "A-1"]), required=("hardware_number", "pcid"))
    assert (sheet.media_type, sheet.rows[0].cells) == (sheets.XLSX_TYPE, {"pcid": "00AA", "hardware_number": "A-1"})


def comma_separated(*lines: Sequence[object]) -> bytes:
    return "\n".join(",".join(map(str, line)) for line in lines).encode()


@pytest.mark.parametrize("make", [xlsx, comma_separated])
def test_row_numbers_equal_those_of_the_file(make: Callable[..., bytes]) -> None:
    data = make(["hardware_number", "pcid"], ["A", "1"], ["", ""], ["B", "2"])
    assert [number for number, _ in read(data)] == [2, 4]


def test_numbers_in_cells_are_read_as_typed() -> None:
    data = xlsx(["hardware_number", "pcid", "note"], [20001, 1.5, True], [7.0, -8.65432, ""])
    assert [list(cells.values()) for _, cells in read(data)] == [["20001", "1.5", "True"], ["7", "-8.65432", ""]]


def test_a_long_number_in_a_numeric_cell_is_refused_with_row_and_column() -> None:
    data = xlsx(["hardware_number", "pcid"], ["A", 3015450100001234], ["B", "00AA"], ["C", 1e30])
    with pytest.raises(Invalid) as refused:
        read(data)
    assert [(error["row"], error["field"]) for error in refused.value.errors] == [(2, "pcid"), (4, "pcid")]
    assert "format the column as text" in refused.value.errors[0]["message"]


def test_a_value_without_a_column_name_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        read(b"hardware_number,pcid\nA,B,lost\n")
    assert refused.value.errors[0]["row"] == 2


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"hardware_number", "missing columns: pcid"),
        (b"hardware_number,pcid,price", "unknown columns: price"),
        (b"hardware_number,pcid,pcid", "columns given twice: pcid"),
    ],
)
def test_the_columns_are_checked_by_name(header: bytes, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        read(header + b"\nA,B\n")


def test_a_thousand_rows_are_accepted_and_one_more_is_not() -> None:
    lines = [["hardware_number", "pcid"], *([f"A-{n}", f"{n:032X}"] for n in range(1001))]
    assert len(read(xlsx(*lines[:-1]))) == 1000
    with pytest.raises(Invalid, match="at most 1000"):
        read(xlsx(*lines))
    with pytest.raises(Invalid, match="at most 1000"):
        read(comma_separated(*lines))


def test_rows_after_a_long_gap_are_not_dropped_silently() -> None:
    with pytest.raises(Invalid, match="at most 10"):
        read(xlsx(["hardware_number", "pcid"], ["A", "1"], far=(500, 0)), max_rows=10)
    with pytest.raises(Invalid, match="at most 10"):
        read(b"hardware_number,pcid\nA,1\n" + b"\n" * 500 + b"B,2\n", max_rows=10)


NOT_A_TABLE = {
    "empty": b"",
    "header only": b"hardware_number,pcid\n",
    "empty workbook": xlsx(),
    "photo": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "utf-16": "hardware_number,pcid\nA,B\n".encode("utf-16"),
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
HARMFUL: dict[str, tuple[str, Callable[[], bytes]]] = {
    "200 MB of blanks": (TOO_LARGE, lambda: rezipped(GOOD, {SHEET: b" " * (200 * 1024 * 1024)})),
    "a size that is not true": (TOO_LARGE, lambda: lying(rezipped(GOOD, {SHEET: b"0" * 5_000_000}))),
    "entries that overlap": ("unreasonable size", overlapping),
    "10,000 entries": (TOO_LARGE, lambda: rezipped(GOOD, {f"xl/x{n}.xml": b"" for n in range(10_000)})),
    "another compression": (TOO_LARGE, lambda: rezipped(GOOD, {}, zipfile.ZIP_LZMA)),
    "two cells far apart": (UNREADABLE, lambda: xlsx(["hardware_number", "pcid"], far=(1_048_575, 16_383))),
    "two rows far apart": (UNREADABLE, lambda: xlsx(["hardware_number", "pcid"], far=(1_048_575, 90))),
    "a row without end": (
        UNREADABLE,
        lambda: rezipped(GOOD, {SHEET: (NUMBERED % (f"<row>{'<c><v>1</v></c>' * 1_000_000}</row>" + FULL)).encode()}),
    ),
    "entities": (ENTITIES, lambda: rezipped(GOOD, {SHEET: A_FILE})),
    "entities behind a comment": (ENTITIES, lambda: rezipped(GOOD, {SHEET: b"<!--" + b" " * 2_000_000 + b"--><!DOCTYPE a><worksheet/>"})),
    "too many columns": ("more than 100 columns", lambda: xlsx(["hardware_number", "pcid"], far=(1, 200))),
}


@contextmanager
def frugal(megabytes: int, seconds: float) -> Iterator[None]:
    """Assert that the block allocates at most `megabytes` and lasts at most `seconds`."""
    before = time.monotonic()
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < megabytes * 1024 * 1024
    assert time.monotonic() - before < seconds


@pytest.mark.parametrize(("message", "make"), HARMFUL.values(), ids=HARMFUL.keys())
def test_a_harmful_workbook_is_refused_quickly_and_without_much_memory(message: str, make: Callable[[], bytes]) -> None:
    data = make()
    with frugal(megabytes=50, seconds=5), pytest.raises(Invalid, match=message):
        read(data)


def test_a_csv_of_line_ends_needs_little_memory() -> None:
    data = b"hardware_number,pcid\nA,B\n" + b"\n" * 10_000_000
    with frugal(megabytes=50, seconds=5), pytest.raises(Invalid, match="at most"):
        read(data)


WIDE = {
    "20 million cells": b"hardware_number,pcid" + b"," * 20_000_000,
    "in a later row": b"hardware_number,pcid\nA,B" + b",C" * 100,
    "quoted": b"hardware_number,pcid\n" + b'"A",' * 101 + b'"B"\n',
    "with semicolons": b"hardware_number;pcid\nA;B" + b";" * 99,
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


@pytest.mark.parametrize("parts", [sheets.csv_parts, sheets.xlsx_parts])
def test_a_table_of_many_rows_is_never_in_memory_as_a_whole(parts: Callable[..., Iterator[bytes]]) -> None:
    rows = ((f"30154B01{number:08X}", number) for number in range(10_000))
    with frugal(megabytes=2, seconds=10):
        size = sum(map(len, parts(["uid", "number"], rows)))
    assert size > 100_000


def test_a_table_comes_in_parts_while_its_rows_are_read() -> None:
    rows = iter([("x", number) for number in range(50_000)])
    assert next(sheets.csv_parts(["a", "b"], rows)).startswith(b"\xef\xbb\xbfa,b\r\nx,0\r\nx,1\r\n")
    assert len(list(rows)) > 30_000


def test_a_broken_table_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = (("x", 1 // (9 - number)) for number in range(20))
    with pytest.raises(ZeroDivisionError):
        next(sheets.xlsx_parts(["a", "b"], rows))
    begun = sheets.xlsx_parts(["a"], [["x"]])
    next(begun)
    begun.close()
    assert list(tmp_path.iterdir()) == []


FORMULAS = ["=1+1", "+62 812", "-cmd|x", "@SUM(A1)", "\t=1", "＝1", "'=1", "''@x"]


@pytest.mark.parametrize("text", FORMULAS)
def test_text_does_not_become_a_formula_in_csv(text: str) -> None:
    assert sheets.write_csv(["note"], [[text]]).decode("utf-8-sig").splitlines()[1].strip('"').startswith("'")


def test_text_does_not_become_a_formula_in_xlsx() -> None:
    book = sheets.write_xlsx(["note"], [[text] for text in FORMULAS])
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        assert b"<f>" not in archive.read(SHEET)


def test_numbers_remain_numbers_in_an_export() -> None:
    assert sheets.write_csv(["a", "b"], [[-7.65, 12]]).decode("utf-8-sig").splitlines()[1] == "-7.65,12"
    book = sheets.write_xlsx(["note"], [[-7.65], [3015450100001234], [float("nan")], [None], [date(2018, 12, 5)]])
    cells = [row.cells["note"] for row in sheets.read(book, required=["note"]).rows]
    assert cells == ["-7.65", "3015450100001234", "nan", "2018-12-05"]


@settings(max_examples=10, deadline=None)  # each starts a process, so each tries many texts
@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1).map(str.strip).filter(bool), min_size=50, max_size=100))
def test_every_text_survives_export_and_import_as_csv(texts: list[str]) -> None:
    rows = sheets.read(sheets.write_csv(["note"], [[text] for text in texts]), required=["note"]).rows
    assert [row.cells["note"] for row in rows] == texts


def test_every_text_survives_export_and_import_as_xlsx() -> None:
    texts = ["30154B0100001234", "0012", "1e5", "=1+1", "A & B <c>", "é", "https://example.org", "x" * LONGEST, "TRUE"]
    rows = sheets.read(sheets.write_xlsx(["note"], [[text] for text in texts]), required=["note"]).rows
    assert [row.cells["note"] for row in rows] == texts


def test_reading_a_file_ends_at_the_deadline_of_its_request() -> None:
    book = xlsx(["pcid", "hardware_number"], ["00AA", "A-1"])
    with deadline.limit(0.5), pytest.raises(Unavailable):
        read(book)
    with deadline.limit(10):
        assert len(read(book)) == 1
