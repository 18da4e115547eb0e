"""Writing tables: what programs and people read in them, in little memory."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sifilma.documents.tables import sheets
from sifilma.documents.tables.cells import LONGEST
from sifilma.documents.tables.columns import GUIDES
from sifilma.documents.tables.writing import csv_parts, write_csv, write_xlsx, xlsx_parts
from tests.documents.files import frugal, plain_form

SHEET = "xl/worksheets/sheet1.xml"
NOTE = plain_form(["note"])


@pytest.mark.parametrize("parts", [csv_parts, xlsx_parts])
def test_a_table_of_many_rows_is_never_in_memory_as_a_whole(parts: Callable[..., Iterator[bytes]]) -> None:
    rows = ((f"30154B01{number:08X}", number) for number in range(10_000))
    with frugal(megabytes=2, seconds=10):
        size = sum(map(len, parts(["uid", "number"], rows)))
    assert size > 100_000


def test_a_table_comes_in_parts_while_its_rows_are_read() -> None:
    rows = iter([("x", number) for number in range(50_000)])
    assert next(csv_parts(["a", "b"], rows)).startswith(b"\xef\xbb\xbfa,b\r\nx,0\r\nx,1\r\n")
    assert len(list(rows)) > 30_000


def test_a_broken_table_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = (("x", 1 // (9 - number)) for number in range(20))
    with pytest.raises(ZeroDivisionError):
        next(xlsx_parts(["a", "b"], rows))
    begun = xlsx_parts(["a"], [["x"]])
    next(begun)
    begun.close()
    assert list(tmp_path.iterdir()) == []


FORMULAS = ["=1+1", "+62 812", "-cmd|x", "@SUM(A1)", "\t=1", "＝1", "'=1", "''@x"]


@pytest.mark.parametrize("text", FORMULAS)
def test_text_does_not_become_a_formula_in_csv(text: str) -> None:
    assert write_csv(["note"], [[text]]).decode("utf-8-sig").splitlines()[1].strip('"').startswith("'")


def test_text_does_not_become_a_formula_in_xlsx() -> None:
    book = write_xlsx(["note"], [[text] for text in FORMULAS])
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        assert b"<f>" not in archive.read(SHEET)


def test_numbers_remain_numbers_in_an_export() -> None:
    assert write_csv(["a", "b"], [[-7.65, 12]]).decode("utf-8-sig").splitlines()[1] == "-7.65,12"
    book = write_xlsx(["note"], [[-7.65], [3015450100001234], [float("nan")], [None], [date(2018, 12, 5)]])
    cells = [row.cells["note"] for row in sheets.read(book, NOTE).rows]
    assert cells == ["-7.65", "3015450100001234", "nan", "2018-12-05"]


def _is_a_row(text: str) -> bool:
    """Tell whether a row that begins so belongs to the table: an example or a hint is the template's."""
    return text != "" and not text.casefold().startswith(GUIDES)


TEXTS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1).map(str.strip).filter(_is_a_row)


@settings(max_examples=10, deadline=None)  # each starts a process, so each tries many texts
@given(st.lists(TEXTS, min_size=50, max_size=100))
@example(["Reference: 12", "Rujukan: 12", "0"])
def test_every_text_survives_export_and_import_as_csv(texts: list[str]) -> None:
    rows = sheets.read(write_csv(["note"], [[text] for text in texts]), NOTE).rows
    assert [row.cells["note"] for row in rows] == texts


def test_every_text_survives_export_and_import_as_xlsx() -> None:
    texts = ["30154B0100001234", "0012", "1e5", "=1+1", "A & B <c>", "é", "https://example.org", "x" * LONGEST, "TRUE"]
    rows = sheets.read(write_xlsx(["note"], [[text] for text in texts]), NOTE).rows
    assert [row.cells["note"] for row in rows] == texts
