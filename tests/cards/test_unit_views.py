"""The pages for units: the list, the registration of one unit or a file, the page of one unit."""

from __future__ import annotations

import csv
import io
import secrets
from typing import Any
from uuid import UUID

import pytest

from sifilma.cards.import_table import UNITS
from sifilma.documents.tables.headings import key
from sifilma.documents.tables.writing import write_csv, write_xlsx
from sifilma.kernel.db import db
from tests.support.counting import counted
from tests.support.visitor import Visitor, english, landed
from tests.support.world import World

COLUMNS = ("hardware_number", "model", "function", "pcid", "sam_perso")


def page(world: World, who: str, path: str) -> Any:
    client = world.client(who)
    return world.app.test_client(use_cookies=False).get(path, headers=client.headers | {"Accept": "text/html"})


def send(world: World, who: str, path: str, **fields: Any) -> Any:
    client = world.client(who)
    headers = client.headers | {"Accept": "text/html"}
    files = {name: (io.BytesIO(value[1]), value[0]) if isinstance(value, tuple) else value for name, value in fields.items()}
    return world.app.test_client(use_cookies=False).post(path, data=files, headers=headers)


def text(response: Any) -> str:
    return str(response.get_data(as_text=True))


def rows(count: int, model: str = "LEN-CRD-1") -> list[tuple[str, ...]]:
    return [(f"CRD-{number}", model, "R", secrets.token_hex(16), "") for number in range(1, count + 1)]


@pytest.mark.parametrize(("name", "write"), [("unit.csv", write_csv), ("unit.xlsx", write_xlsx)])
def test_a_file_of_units_is_registered(sqlite_world: World, name: str, write: Any) -> None:
    answer = send(sqlite_world, "magetan.kepala", "/unit/berkas", units=(name, write(COLUMNS, rows(3))))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/unit?jumlah=3&selesai=registered")
    assert "3 unit telah didaftarkan." in Visitor(sqlite_world, "magetan.kepala").text(answer.headers["Location"])
    assert sqlite_world.sql("SELECT COUNT(*) FROM unit")[0][0] == 3


def test_every_wrong_row_of_a_file_is_named_by_its_number_and_nothing_is_saved(world: World) -> None:
    good = rows(1)[0]
    wrong = [good, ("", "", "", "", ""), ("CRD-2", "NO-SUCH", "R", "", ""), (good[0], *good[1:]), ("CRD-3", "LEN-CRD-1", "R", "12", "")]
    answer = send(world, "magetan.kepala", "/unit/berkas", units=("unit.csv", write_csv(COLUMNS, wrong)))
    assert answer.status_code == 422
    for row, column in ((4, "Model"), (5, "Nomor mesin"), (5, "PCID"), (6, "PCID")):
        assert f"<td>{row}</td><td>{column}</td>" in text(answer)
    assert "<td>3</td>" not in text(answer)  # the empty row has a number and is not an error
    assert world.sql("SELECT COUNT(*) FROM unit")[0][0] == 0


def test_an_upload_without_a_file_is_refused(sqlite_world: World) -> None:
    assert send(sqlite_world, "magetan.kepala", "/unit/berkas").status_code == 422


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_the_template_names_the_columns_that_are_read(sqlite_world: World, kind: str) -> None:
    answer = page(sqlite_world, "magetan.kepala", f"/unit/templat.{kind}")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    if kind == "csv":
        heading = next(csv.reader(io.StringIO(answer.get_data().decode("utf-8-sig"))))
        assert [UNITS.keys[key(text)] for text in heading] == list(UNITS.names)
    assert page(sqlite_world, "magetan.kepala", "/unit/templat.exe").status_code == 404


def test_the_input_is_kept_and_the_wrong_field_is_explained(sqlite_world: World) -> None:
    typed = {"hardware_number": "CRD-9", "model": "LEN-CRD-1", "function": "R", "public_jwk": "{not json"}
    answer = send(sqlite_world, "magetan.kepala", "/unit/daftar", **typed)
    assert answer.status_code == 422
    assert 'value="CRD-9"' in text(answer)
    assert "{not json" in text(answer)
    again = send(sqlite_world, "magetan.kepala", "/unit/daftar", **typed | {"public_jwk": '{"kty": "EC", "crv": "P-384"}'})
    assert 'id="e-public_jwk"' in text(again)
    assert "<caption>" not in text(again)  # errors of one unit name fields, not rows


def test_a_unit_is_registered_with_its_public_key(sqlite_world: World) -> None:
    key = '{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}'
    typed = {"hardware_number": "CRD-9", "model": "LEN-CRD-1", "function": "R", "public_jwk": key}
    answer = send(sqlite_world, "magetan.kepala", "/unit/daftar", **typed)
    assert answer.status_code == 303
    shown = page(sqlite_world, "magetan.kepala", answer.headers["Location"])
    assert "CRD-9" in text(shown)
    assert page(sqlite_world, "bangli.kepala", answer.headers["Location"]).status_code == 404


def test_the_public_key_is_folded_until_it_is_typed(sqlite_world: World) -> None:
    folded = '<details class="field more"><summary>Lanjutan'
    assert folded in text(page(sqlite_world, "magetan.kepala", "/unit/daftar"))
    refused = text(send(sqlite_world, "magetan.kepala", "/unit/daftar", hardware_number="", public_jwk="{}"))
    assert folded not in refused
    assert '<details class="field more" open>' in refused


def test_units_are_found_by_state_model_and_part_of_a_number(world: World) -> None:
    ready, _ = world.active()
    uid, number = ready.uids[0], ready.hardware[ready.uids[0]]
    free = world.units("magetan.kepala", 1, "LEN-CRD-1", "R")[0]
    pairs = " ".join(uid[at : at + 2] for at in range(0, 16, 2)).lower()
    for query, there, absent in (
        ("state=active", number, free),
        ("state=free", free, number),
        ("model=LEN-CRD-1", free, number),
        (f"q={number[3:9].lower()}", number, free),
        (f"q={pairs}", number, free),
    ):
        found = text(page(world, "magetan.kepala", f"/unit?{query}"))
        assert (there in found, absent in found) == (True, False), query
    assert number not in text(page(world, "magetan.kepala", "/unit?q=%25"))  # a percent sign is not a wildcard


def test_the_page_of_a_unit_shows_its_place(world: World) -> None:
    ready, _ = world.active()
    unit = world.sql("SELECT id FROM unit WHERE hardware_number = :n", n=ready.hardware[ready.uids[0]])[0][0]
    path = f"/unit/{UUID(str(unit))}"
    shown = text(page(world, "magetan.kepala", path))
    assert "35.20.06.1014" in shown
    assert "Indah Contoh" in shown  # the time line says who
    assert "35.20.06.1014" not in text(page(world, "len.kepala", path))  # its maker sees the unit, but not its place
    assert page(world, "bangli.kepala", path).status_code == 404


def test_only_those_who_register_units_see_the_forms(sqlite_world: World) -> None:
    for path in ("/unit/daftar", "/unit/berkas", "/unit/templat.csv"):
        assert page(sqlite_world, "operator1", path).status_code == 403
    assert "/unit/daftar" not in text(page(sqlite_world, "operator1", "/unit"))
    assert send(sqlite_world, "len.kepala", "/unit/berkas", units=("u.csv", b"")).status_code == 403


def test_the_list_and_the_page_need_few_statements(sqlite_world: World) -> None:
    sqlite_world.units("magetan.kepala", 20)
    client = sqlite_world.client("magetan.kepala")
    with sqlite_world.app.app_context():
        engine = db.engine
    with counted(engine) as found:
        sqlite_world.app.test_client(use_cookies=False).get("/unit", headers=client.headers)
    assert len(found.statements) <= 8, found.statements
    unit = UUID(str(sqlite_world.sql("SELECT id FROM unit LIMIT 1")[0][0]))
    with counted(engine) as found:
        sqlite_world.app.test_client(use_cookies=False).get(f"/unit/{unit}", headers=client.headers)
    assert len(found.statements) <= 10, found.statements


def test_the_export_holds_what_the_filter_shows(sqlite_world: World) -> None:
    number = sqlite_world.units("magetan.kepala", 2)[0]
    data = page(sqlite_world, "magetan.kepala", f"/unit?q={number}&unduh=csv").get_data()
    assert data.count(b"\n") == 2


def test_a_missing_pcid_is_supplied_on_the_page_by_those_who_may(sqlite_world: World) -> None:
    number = sqlite_world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)[0]
    unit = UUID(str(sqlite_world.sql("SELECT id FROM unit WHERE hardware_number = :number", number=number)[0][0]))
    assert "Supply the PCID" not in english(sqlite_world, "auditor1").text(f"/unit/{unit}")
    maker = english(sqlite_world, "softorb.kepala")
    assert "Supply the PCID" in maker.text(f"/unit/{unit}")
    assert "Propose a public key" in maker.seen
    assert maker.send(f"/unit/{unit}/pcid", pcid="12").status_code == 422
    assert "A PCID has 32 hexadecimal digits" in maker.seen
    assert landed(maker.send(f"/unit/{unit}/pcid", pcid="ab" * 16)).endswith("selesai=supplied")
    assert ("AB" * 16) in maker.text(f"/unit/{unit}")
    assert "Supply the PCID" not in maker.seen


@pytest.mark.parametrize("typed", ["[" * 100_000, '{"kid": "\\u0000"}', '{"kid": "\\ud800"}'], ids=["deep", "NUL", "surrogate"])
def test_a_key_that_no_database_can_store_is_refused_with_a_reason(world: World, typed: str) -> None:
    stated = {"hardware_number": "HW-1", "model": "LEN-CRD-1", "function": "R"}
    client = world.client("magetan.kepala")
    for text in (typed, f" {typed}"):
        answer = client.open("POST", "/unit/daftar", data=stated | {"public_jwk": text}, headers=client.headers)
        assert answer.status_code == 422
