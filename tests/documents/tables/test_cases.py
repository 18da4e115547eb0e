"""Tables and letters as people send them, at every door: `expected.csv` says what becomes of each file in `cases/`, and in which words."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.visitor import english, value_of
from tests.support.world import World, letter

HERE = Path(__file__).parent
CASES = HERE / "cases"
EXPECTED = HERE / "expected.csv"
NUMBERS = ("R-1", "R-0001", "R-0002", "R-0003", "ECH8982DF", "ECH8CEAA3", "ECH99B6B1", "ECHDC6FDC")
"""The machines that the batches are for."""

Answer = tuple[int, str]
Door = Callable[[World, str], Answer]


def _batch_form(world: World, name: str) -> Answer:
    return _form(world, "softorb.kepala", "/personalisasi/baru", batch=_file(name), **_letters(), **_asked(world))


def _batch_api(world: World, name: str) -> Answer:
    asked = _asked(world)
    answer = world.client("softorb.kepala").send(
        "/personalisation-requests", asked, letter=letter(), purchase_order=letter(), batch=(name, (CASES / name).read_bytes())
    )
    return answer.status_code, answer.get_data(as_text=True)


def _letter_form(world: World, name: str) -> Answer:
    return _form(world, "magetan.kepala", "/personalisasi/baru", letter=_file(name), **world.letter(), function="RW", quantity="1")


def _letter_api(world: World, name: str) -> Answer:
    asked = world.letter() | {"function": "RW", "quantity": 1}
    answer = world.client("magetan.kepala").send("/personalisation-requests", asked, letter=(name, (CASES / name).read_bytes()))
    return answer.status_code, answer.get_data(as_text=True)


def _units_form(world: World, name: str) -> Answer:
    return _form(world, "magetan.kepala", "/unit/berkas", units=_file(name))


def _agreements_form(world: World, name: str) -> Answer:
    return _form(world, "operator1", "/organisasi/berkas/pks", file=_file(name))


def _activations_form(world: World, name: str) -> Answer:
    return _form(world, "magetan.kepala", "/aktivasi/berkas", file=_file(name))


def _activations_api(world: World, name: str) -> Answer:
    sent = {"data": {"file": _file(name)}, "content_type": "multipart/form-data"}
    answer = world.client("magetan.kepala").call("POST", "/activations/bulk", **sent)
    return answer.status_code, answer.get_data(as_text=True)


DOORS: dict[str, Door] = {
    "batch, form": _batch_form,
    "batch, API": _batch_api,
    "letter, form": _letter_form,
    "letter, API": _letter_api,
    "units, form": _units_form,
    "agreements, form": _agreements_form,
    "activations, form": _activations_form,
    "activations, API": _activations_api,
}


def _form(world: World, who: str, path: str, **fields: Any) -> Answer:
    """Send a form. Return its status, and the words of the page that follows if the act had warnings, which go along in its address."""
    visitor = english(world, who)
    answer = visitor.send(path, **fields)
    page, told = answer.get_data(as_text=True), ""
    if 'name="confirmed_warnings"' in page:  # asked about before it is saved; the files are kept meanwhile
        told = visitor.seen
        texts = {name: value for name, value in fields.items() if isinstance(value, str)}
        kept = dict(re.findall(r'name="(kept\.\w+)" value="([^"]+)"', page))
        answer = visitor.send(path, **texts, **kept, confirmed_warnings=value_of(answer, "confirmed_warnings"))
    if "catatan=" in answer.headers.get("Location", ""):
        visitor.get(answer.headers["Location"])
    return answer.status_code, told + visitor.seen


def _file(name: str) -> tuple[io.BytesIO, str]:
    return io.BytesIO((CASES / name).read_bytes()), name


def _letters() -> dict[str, Any]:
    return {name: (io.BytesIO(letter()), f"{name}.pdf") for name in ("letter", "purchase_order")}


def _asked(world: World) -> dict[str, Any]:
    buyer = str(world.organisation_of("mandiri.kepala"))
    return world.letter() | {"function": "R", "on_behalf_of": buyer, "purchase_order_number": "PO-1"}


def expected() -> list[dict[str, str]]:
    with EXPECTED.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("near")
def test_every_file_becomes_at_every_door_what_the_table_says(sqlite_world: World) -> None:
    units = [{"hardware_number": number, "model": "SOFTORB-CRD-1", "function": "R"} for number in NUMBERS]
    assert sqlite_world.client("mandiri.kepala").post("/units", units).status_code == 201
    wrong = []
    for row in expected():
        status, told = DOORS[row["door"]](sqlite_world, row["file"])
        if status != int(row["status"]) or row["words"] not in told:
            wrong.append((row["file"], row["door"], status, told[-600:]))
    assert wrong == []


def test_the_table_names_every_file() -> None:
    assert {row["file"] for row in expected()} == {path.name for path in CASES.iterdir()}
