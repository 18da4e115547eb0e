"""More tables of the kinds that people send, made by chance: what is read is what was meant, or the cell is named that may be wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from sifilma.documents.tables import sheets
from sifilma.documents.tables.columns import headings
from sifilma.documents.tables.sheets import letters
from sifilma.personalisation.batch import BATCH

HEX = "0123456789ABCDEF"
SPOILED = ("date", "truth", "fraction", "zeros", "percent", "error", "no value", "scientific", "long")
DIALECTS = [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-16"), (";", "cp1252"), (",", "utf-16-le"), ("\t", "utf-8-sig")]


@dataclass(frozen=True)
class Case:
    """A table as it was meant, and how somebody wrote it."""

    rows: list[dict[str, str]]
    order: list[str]
    titles: list[str]
    names: dict[str, str]
    gaps: list[int]
    spoiled: tuple[str, int] | None
    dialect: tuple[str, str]
    quoted: bool

    def lines(self) -> list[list[str]]:
        """Return the cells as typed, with blank rows before some of them."""
        lines = [*([title] for title in self.titles), [self.names[name] for name in self.order]]
        for row, gap in zip(self.rows, self.gaps, strict=True):
            lines += [*([" "] * gap for _ in range(gap)), [row[name] for name in self.order]]
        return lines

    def numbers(self) -> list[int]:
        """Return the number of each row in its file."""
        start = len(self.titles) + 1
        return [start + sum(self.gaps[: index + 1]) + index + 1 for index in range(len(self.rows))]


def hexadecimal(length: int) -> st.SearchStrategy[str]:
    return st.text(HEX, min_size=length, max_size=length)


row = st.fixed_dictionaries(
    {
        "hardware_number": st.one_of(st.integers(1, 10**15 - 1).map(str), st.from_regex(r"CRD-[0-9]{4}", fullmatch=True)),
        "model": st.sampled_from(["SOFTORB-CRD-1", "EKTP READER", "Café 5"]),
        "pcid": hexadecimal(32),
        "sam_uid": st.one_of(st.just(""), hexadecimal(16)),
        "sam_perso": st.one_of(st.just(""), hexadecimal(16)),
        "outlet": st.sampled_from(["", "KC-001", "KCP Maospati"]),
    }
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rows = draw(st.lists(row, min_size=1, max_size=4))
    words = {column.name: draw(st.sampled_from([*headings(column)])) for column in BATCH.columns}
    spelled: st.SearchStrategy[Callable[[str], str]] = st.sampled_from([str.upper, str.lower, str.strip, str.title])
    remarks = st.sampled_from(["", " (wajib)", " *"])
    shown = {name: draw(spelled)(str(word)) + draw(remarks) for name, word in words.items()}
    kind = draw(st.sampled_from(["", *SPOILED]))
    return Case(
        rows,
        draw(st.permutations(BATCH.names)),
        draw(st.lists(st.sampled_from(["DAFTAR BATCH", "Juni 2026"]), max_size=2)),
        shown,
        draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows))),
        (kind, draw(st.integers(0, len(rows) - 1))) if kind else None,
        draw(st.sampled_from(DIALECTS)),
        draw(st.booleans()),
    )


def as_csv(case: Case) -> bytes:
    out = io.StringIO(newline="")
    delimiter, encoding = case.dialect
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL if case.quoted else csv.QUOTE_MINIMAL).writerows(case.lines())
    return out.getvalue().encode(encoding)


def as_xlsx(case: Case) -> bytes:
    """Write a workbook as programs do: digits that were typed are numbers, and a sheet with former rows is hidden."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        former, sheet = book.add_worksheet("lama"), book.add_worksheet("kirim")
        former.write_row(0, 0, [column.heading for column in BATCH.columns])
        former.write_row(1, 0, ["LAMA-1", "LAMA", "0" * 32])
        sheet.activate()
        sheet.set_first_sheet()
        former.hide()
        for number, line in enumerate(case.lines()):
            for index, cell in enumerate(line):
                if cell.isdecimal() and len(cell) <= 15 and str(int(cell)) == cell:
                    sheet.write_number(number, index, int(cell))
                else:
                    sheet.write_string(number, index, cell)
        if case.spoiled:
            kind, chosen = case.spoiled
            spoil(book, sheet, kind, case.numbers()[chosen] - 1, case.order.index("sam_perso"))
    return out.getvalue()


def spoil(book: Any, sheet: Any, kind: str, number: int, index: int) -> None:
    match kind:
        case "date":
            sheet.write_datetime(number, index, datetime(2026, 3, 12), book.add_format({"num_format": "dd/mm/yyyy"}))  # no zone
        case "truth":
            sheet.write(number, index, True)  # the cell
        case "fraction":
            sheet.write_number(number, index, 35.2)
        case "zeros":
            sheet.write_number(number, index, 60542, book.add_format({"num_format": "0000000000"}))
        case "percent":
            sheet.write_number(number, index, 5, book.add_format({"num_format": "0%"}))
        case "error":
            sheet.write_formula(number, index, "=NA()", None, "#N/A")
        case "no value":
            sheet.write_formula(number, index, "=A1", None, "")
        case "scientific":
            sheet.write_string(number, index, "1,23457E+15")
        case "long":
            sheet.write_number(number, index, 3015450100001234)


@pytest.mark.usefixtures("near")
@settings(max_examples=60, deadline=None)
@given(cases(), st.booleans())
def test_what_is_read_is_what_was_meant_or_the_cell_is_named(case: Case, in_workbook: bool) -> None:
    spoiled = case.spoiled  # a workbook alone has cells that are no text
    found = sheets.read(as_xlsx(case) if in_workbook or spoiled else as_csv(case), BATCH)
    meant = [dict(row) for row in case.rows]
    numbers = case.numbers()
    if spoiled:
        place = f"{letters(case.order.index('sam_perso'))}{numbers[spoiled[1]]}"
        assert [(fault.row, fault.column) for fault in found.faults] == [(numbers[spoiled[1]], "sam_perso")]
        assert found.faults[0].message.startswith(f"{place} holds")
        meant[spoiled[1]]["sam_perso"] = next(row.cells["sam_perso"] for row in found.rows if row.number == numbers[spoiled[1]])
        assert meant[spoiled[1]]["sam_perso"].startswith("#")
    else:
        assert found.faults == []
    assert [row.number for row in found.rows] == numbers
    assert [row.cells for row in found.rows] == meant
    assert found.warnings == []
