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
from tests.support.visitor import Visitor, value_of
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
    assert "3 PCID" in visitor.seen
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


def test_wrong_cells_are_put_right_on_the_page_and_nobody_else_can_take_the_batch(world: World) -> None:
    numbers, visitor = world.units(BUYER, 3, MODEL, "R", pcid=False), Visitor(world, MAKER)
    rows = [[number, MODEL, secrets.token_hex(16).upper(), new_uid(), ""] for number in numbers]
    wrong = [list(row) for row in rows]
    wrong[0][0], wrong[1][2] = "TIDAK-ADA", "XYZ"
    answer = send(visitor, world, write_csv(COLUMNS, wrong))
    assert (value_of(answer, "mend.2.hardware_number"), value_of(answer, "mend.3.pcid")) == ("TIDAK-ADA", "XYZ")
    assert value_of(answer, "mend.4.pcid") == ""
    stated = world.letter() | {"function": "R", "on_behalf_of": str(world.organisation_of(BUYER)), "purchase_order_number": "PO-1"}
    stated |= {name: value_of(answer, name) for name in ("kept.letter", "kept.purchase_order", "mended")}
    assert Visitor(world, "len.kepala").send("/personalisasi/baru", **stated).status_code == 404
    answer = visitor.send("/personalisasi/baru", **stated, **{"mend.2.hardware_number": numbers[0], "mend.3.pcid": "ZZ"})
    assert value_of(answer, "mend.3.pcid") == "ZZ"
    stated["mended"] = value_of(answer, "mended")
    stated |= {name: value_of(answer, name) for name in ("kept.letter", "kept.purchase_order")}
    answer = visitor.send("/personalisasi/baru", **stated, **{"mend.3.pcid": rows[1][2], "lalu": "ajukan"})
    assert answer.status_code == 303, visitor.seen
    assert world.sql("SELECT state, quantity FROM personalisation_request") == [("submitted", 3)]
    assert sorted(pcid.upper() for (pcid,) in world.sql("SELECT pcid FROM batch_row")) == sorted(row[2] for row in rows)
