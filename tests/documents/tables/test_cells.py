"""A cell of a file passes the checks that a field of a form passes, at every door for tables; the refusal names row and column."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zipfile import ZipFile

import pytest
from werkzeug.test import TestResponse

from sifilma.documents.tables import sheets
from sifilma.documents.tables.cells import LONGEST, wrong_with
from sifilma.documents.tables.writing import write_csv
from sifilma.web.characters import fit, is_fit, may_be_unfit
from tests.documents.files import plain_form, rezipped, xlsx
from tests.support.visitor import english
from tests.support.world import World, letter, new_uid

MARK = "MARKEDHERE"
UNKEPT = "This text has characters that cannot be kept."


def with_escape(escape: str, header: Sequence[str], row: Mapping[str, object], column: str) -> bytes:
    """Return a workbook whose second row has an escape of OOXML (`_x0000_`) in a column, as no spreadsheet program writes it."""
    made = xlsx(header, [f"{row.get(name, '')}{MARK if name == column else ''}" for name in header])
    with ZipFile(io.BytesIO(made)) as archive:
        strings = archive.read("xl/sharedStrings.xml")
    return rezipped(made, {"xl/sharedStrings.xml": strings.replace(MARK.encode(), escape.encode())})


Sent = Callable[[World, bytes], TestResponse]


def _file(data: bytes) -> tuple[io.BytesIO, str]:
    return io.BytesIO(data), "tabel.xlsx"


def _activations(world: World, data: bytes) -> TestResponse:
    return english(world, "magetan.kepala").send("/aktivasi/berkas", file=_file(data))


def _units(world: World, data: bytes) -> TestResponse:
    return english(world, "magetan.kepala").send("/unit/berkas", units=_file(data))


def _batch(world: World, data: bytes) -> TestResponse:
    papers: dict[str, Any] = {name: (io.BytesIO(letter()), f"{name}.pdf") for name in ("letter", "purchase_order")}
    stated = world.letter() | {"function": "R", "on_behalf_of": str(world.organisation_of("mandiri.kepala")), "purchase_order_number": "1"}
    return english(world, "softorb.kepala").send("/personalisasi/baru", **stated, **papers, batch=_file(data))


def _results(world: World, data: bytes) -> TestResponse:
    request = world.submitted(function="R", quantity=1)["id"]
    world.approve("personalisation-requests", request, "penyetuju1")
    return english(world, "operator1").send(f"/personalisasi/{request}/hasil", results=_file(data))


def _organisations(world: World, data: bytes) -> TestResponse:
    return english(world, "operator1").send("/organisasi/berkas/organisasi", file=_file(data))


DOORS: dict[str, tuple[Sent, dict[str, object], str]] = {
    "activations": (
        _activations,
        {
            "sam_uid": new_uid(),
            "token": "ABCDEFGHJK",
            "hardware_number": "HW-1",
            "latitude": "-7,6536",
            "longitude": "111,328",
            "address": "Kantor",
            "region_code": "35.20.06.1014",
        },
        "address",
    ),
    "units": (_units, {"hardware_number": "HW-1", "model": "LEN-CRD-1", "function": "R", "sam_perso": "1"}, "sam_perso"),
    "batches": (_batch, {"hardware_number": "HW-1", "model": "SOFTORB-CRD-1", "pcid": "0" * 32, "sam_perso": "1"}, "sam_perso"),
    "results": (_results, {"sam_uid": new_uid(), "outcome": "failed", "hardware_number": "HW-1"}, "hardware_number"),
    "organisations": (_organisations, {"kind": "institution", "name": "BANK CONTOH", "address": "Jakarta"}, "address"),
}


WORDS = {"address": "Address", "hardware_number": "Hardware number", "sam_perso": "SAM Perso"}


@pytest.mark.parametrize("door", DOORS)
def test_a_cell_with_nul_passes_no_door(sqlite_world: World, door: str) -> None:
    send, row, column = DOORS[door]
    answer = send(sqlite_world, with_escape("_x0000_", list(row), row, column))
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    assert UNKEPT in page
    assert f"<td>2</td><td>{WORDS[column]}</td>" in page


@pytest.mark.parametrize("door", DOORS)
def test_a_cell_that_is_too_long_passes_no_door(sqlite_world: World, door: str) -> None:
    send, row, column = DOORS[door]
    answer = send(sqlite_world, write_csv(list(row), [[*(row | {column: "x" * (LONGEST + 1)}).values()]]))
    assert answer.status_code == 422
    assert "At most 4,000 characters are accepted." in answer.get_data(as_text=True)


@pytest.mark.parametrize("unfit", ["_x0000_", "_x0007_", "_x001B_", "_x007F_", "\x86", "\u202e", "\u2066"], ids=ascii)
def test_a_workbook_is_looked_at_as_what_its_escapes_stand_for(unfit: str) -> None:
    data = with_escape(unfit, ["pcid", "note"], {"pcid": "1", "note": "Kantor "}, "note")
    sheet = sheets.read(data, plain_form(("pcid", "note")))
    assert [(fault.row, fault.column, fault.message) for fault in sheet.faults] == [(2, "note", UNKEPT)]


def test_texts_of_people_are_kept() -> None:
    for text in ("Jalan Pahlawan 1\nlantai 2\tkiri\r\n", "Ny. Sutarmi’s", "é", "عربى", "नमस्ते\u200d", "😀", "x" * LONGEST):
        assert wrong_with(text) is None


def test_no_text_that_is_unfit_is_overlooked_in_json() -> None:
    """The quick look at the bytes may only have false alarms: in UTF-8, which lets lone surrogates pass, and in the other encodings."""
    for number in range(0x11000):
        if not is_fit(chr(number)):
            assert may_be_unfit(chr(number).encode("utf-8", "surrogatepass"))
            assert fit(chr(number)) == "?"
    assert may_be_unfit('{"a": "b"}'.encode("utf-16"))
    assert may_be_unfit(b'"\\u0000"')
    assert not may_be_unfit('{"note": "Jalan\\tPahlawan – é 😀"}\n'.encode())
