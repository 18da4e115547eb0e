"""Tables for people: filled in as the template says, they are read; LibreOffice opens them, and what it saves is read too."""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sifilma.activation.bulk.job_sheets import ACTIVATIONS
from sifilma.cards.import_table import KEYS, UNITS
from sifilma.documents.tables import sheets
from sifilma.documents.tables.columns import AND_NAME, NOTES, Format, Kind
from sifilma.documents.tables.templates import Filled, Lookup, Say, csv_table, xlsx_table
from sifilma.kernel.errors import Invalid
from sifilma.kernel.text import say
from sifilma.oversight.models import ChangeKind
from sifilma.oversight.reference import TABLES
from sifilma.personalisation.batch import BATCH
from sifilma.personalisation.results import RESULTS
from sifilma.web.texts import translate
from tests.documents.files import table_lines
from tests.support.visitor import Visitor
from tests.support.world import MAGETAN_PLACE, World

FORMS = [UNITS, KEYS, BATCH, RESULTS, ACTIVATIONS, *(table.form for table in TABLES.values())]
WRITERS: tuple[Callable[[Filled, Say | None], bytes], ...] = (csv_table, xlsx_table)


def example(form: Format) -> dict[str, str]:
    return {column.name: column.example for column in form.columns}


def looked_up(form: Format) -> Filled:
    """Return a template with one row of examples, and a look-up sheet that has the columns of the table itself."""
    rows = [tuple(example(form).values())]
    lookups = [Lookup(say("List of units"), tuple(column.heading for column in form.columns), rows, form.names[0])]
    row = {column.name: column.example + AND_NAME + "Tambran" if column.kind is Kind.CODE else column.example for column in form.columns}
    return Filled(form, [row], guided=True, lookups=lookups)


@pytest.mark.usefixtures("near")
@pytest.mark.parametrize("form", FORMS, ids=[str(form.title) for form in FORMS])
def test_a_template_is_read_without_its_hints_examples_and_look_up_sheets(sqlite_world: World, form: Format) -> None:
    with sqlite_world.app.test_request_context("/"):
        for say_it in (translate, str):
            for write in WRITERS:
                with pytest.raises(Invalid, match="no rows"):
                    sheets.read(write(Filled(form, (), guided=True), say_it), form)
                found = sheets.read(write(looked_up(form), say_it), form)
                assert [row.cells for row in found.rows] == [example(form) | numbers(form)]
                assert (found.faults, found.warnings) == ([], [])


def numbers(form: Format) -> dict[str, str]:
    """Return the examples of numbers as a spreadsheet keeps them: without zeros at the end."""
    return {column.name: f"{float(column.example):g}" for column in form.columns if column.kind is Kind.NUMBER and column.example}


def test_what_is_left_of_an_example_is_a_fault() -> None:
    data = csv_table(Filled(UNITS, ()), str) + b"CRD-1,Example: LEN-CRD-1,R,,\r\n"
    (fault,) = sheets.read(data, UNITS).faults
    assert (fault.column, fault.message) == ("model", "B2 still holds the example of the template.")


def test_a_cell_that_could_not_be_read_is_refused_again_until_it_is_written_anew() -> None:
    read = sheets.read(b"hardware_number,model,pcid,sam_perso\nA,B," + b"F" * 32 + b",1E+15\n", BATCH)
    back = xlsx_table(Filled(BATCH, [row.cells for row in read.rows], read.columns, noted=True), str)
    (fault,) = sheets.read(back, BATCH).faults
    assert (fault.column, fault.message) == ("sam_perso", "D2 could not be read and is not corrected yet. Write the value anew, as text.")


# --- through the doors -------------------------------------------------------------------------------------------------


def test_the_template_of_units_is_filled_in_by_its_look_ups_and_registered(sqlite_world: World) -> None:
    visitor = Visitor(sqlite_world, "magetan.kepala")
    data = visitor.get("/unit/templat.csv").get_data()
    row = "CRD-77,LEN-CRD-1,R (Baca),,\r\n"
    answer = visitor.send("/unit/berkas", units=(io.BytesIO(data + row.encode()), "unit.csv"))
    assert answer.status_code == 303
    assert sqlite_world.sql("SELECT function FROM unit WHERE hardware_number = 'CRD-77'") == [("R",)]


def test_the_template_of_activations_offers_the_villages_of_the_jurisdiction(sqlite_world: World) -> None:
    sqlite_world.ready("magetan.kepala", "R", 1)
    office = Visitor(sqlite_world, "magetan.kepala")
    texts = parts(office.get("/aktivasi/berkas/templat.xlsx").get_data())
    code = MAGETAN_PLACE["region_code"]
    assert f"{code}{AND_NAME}" in texts
    assert "Daftar kode desa-kelurahan" in texts
    assert "51.06.02.1004" not in texts  # of another regency
    bank = Visitor(sqlite_world, "mandiri.kepala")
    assert "Kode desa/kelurahan untuk" in bank.text("/aktivasi/berkas")
    assert f"{code}{AND_NAME}" not in parts(bank.get("/aktivasi/berkas/templat.xlsx").get_data())
    assert f"{code}{AND_NAME}" in parts(bank.get("/aktivasi/berkas/templat.xlsx", wilayah="35").get_data())


def parts(book: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(book)) as archive:
        return "".join(archive.read(name).decode() for name in archive.namelist() if name.endswith(".xml"))


# --- LibreOffice ---------------------------------------------------------------------------------------------------------


def saved_anew(folder: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the workbooks as LibreOffice saves them."""
    (folder / "in").mkdir()
    for name, data in files.items():
        (folder / "in" / f"{name}.xlsx").write_bytes(data)
    profile = f"-env:UserInstallation=file://{folder}/profile"
    command: list[Any] = ["soffice", profile, "--headless", "--convert-to", "xlsx", "--outdir", folder / "out"]
    subprocess.run([*command, *(folder / "in").iterdir()], check=True, capture_output=True, timeout=120)
    return {name: (folder / "out" / f"{name}.xlsx").read_bytes() for name in files}


@pytest.mark.usefixtures("near")
def test_libreoffice_opens_templates_and_corrected_sheets_and_what_it_saves_is_read_alike(sqlite_world: World, tmp_path: Path) -> None:
    forms = (ACTIVATIONS, TABLES[ChangeKind.AGREEMENTS].form)
    with sqlite_world.app.test_request_context("/"):
        files = {str(form.title): xlsx_table(looked_up(form), translate) for form in forms}
        row = example(BATCH) | {NOTES.name: "PCID: C2 bukan PCID"}
        files["corrected"] = xlsx_table(Filled(BATCH, [row], noted=True), translate)
    saved = saved_anew(tmp_path, files)
    for form in forms:
        found = sheets.read(saved[form.title], form)
        assert [row.cells for row in found.rows] == [example(form) | numbers(form)], form.title
        assert (found.faults, found.warnings) == ([], [])
    assert sheets.read(saved["corrected"], BATCH).rows[0].cells == example(BATCH)
    assert table_lines(saved["corrected"], BATCH)[0][NOTES.name] == "PCID: C2 bukan PCID"
