"""A batch with errors is returned as the same sheet with a column of errors, and accepted once it is corrected."""

from __future__ import annotations

import io
import secrets
from typing import Any

from werkzeug.test import TestResponse

from sifilma.documents.tables.writing import write_csv
from sifilma.fsck.run import examine
from sifilma.personalisation.batch import BATCH
from tests.documents.files import table_lines
from tests.fsck.conftest import installation
from tests.support.visitor import Visitor
from tests.support.world import World, letter, new_uid

COLUMNS = ("hardware_number", "model", "pcid", "sam_uid", "sam_perso")
MAKER, BUYER, MODEL = "softorb.kepala", "mandiri.kepala", "SOFTORB-CRD-1"


def send(visitor: Visitor, world: World, batch: bytes, name: str = "batch juni.csv") -> TestResponse:
    papers: dict[str, Any] = {field: (io.BytesIO(letter()), f"{field}.pdf") for field in ("letter", "purchase_order")}
    stated = world.letter() | {"function": "R", "on_behalf_of": str(world.organisation_of(BUYER)), "purchase_order_number": "PO-1"}
    return visitor.send("/personalisasi/baru", **stated, **papers, batch=(io.BytesIO(batch), name))


def test_a_batch_with_errors_is_returned_completely_and_accepted_once_corrected(world: World) -> None:
    numbers = world.units(BUYER, 3, MODEL, "R", pcid=False)
    rows = [[number, MODEL, secrets.token_hex(16).upper(), new_uid(), ""] for number in numbers]
    rows[1][2] = "XYZ"
    visitor = Visitor(world, MAKER)
    answer = send(visitor, world, write_csv(COLUMNS, rows))
    assert answer.status_code == 422
    assert world.sql("SELECT COUNT(*) FROM personalisation_request")[0][0] == 0
    [(state, done, failed, total)] = world.sql("SELECT state, done, failed, total FROM job")
    assert (state, done, failed, total) == ("completed", 3, 1, 3)
    page = answer.get_data(as_text=True)
    address = page[page.index("/pekerjaan/") :].partition('"')[0]
    assert address.endswith("/perbaikan.xlsx")
    kept = table_lines(visitor.get(address).get_data(), BATCH)
    assert [row["hardware_number"] for row in kept] == numbers
    assert [bool(row["error"]) for row in kept] == [False, True, False]
    assert kept[1]["error"].startswith("PCID: ")
    visitor.get(address.removesuffix("/perbaikan.xlsx"))
    assert "3 dari 3 baris selesai , 1 di antaranya dengan kesalahan" in visitor.seen
    assert "3 pcid" in visitor.seen
    assert Visitor(world, "len.kepala").get(address).status_code == 404
    kept[1]["pcid"] = secrets.token_hex(16)
    again = write_csv((*COLUMNS, "error"), [list(row.values()) for row in kept])
    assert send(visitor, world, again).status_code == 303
    assert world.sql("SELECT quantity FROM personalisation_request")[0][0] == 3
    assert [str(finding) for finding in examine(installation(world)).findings] == []


def test_the_template_has_no_column_of_errors(sqlite_world: World) -> None:
    sqlite_world.units(BUYER, 1, MODEL, "R", pcid=False)
    buyer = sqlite_world.organisation_of(BUYER)
    data = Visitor(sqlite_world, MAKER).get(f"/personalisasi/pembeli/{buyer}/templat.csv").get_data()
    assert table_lines(data, BATCH)[0]["model"] == MODEL
