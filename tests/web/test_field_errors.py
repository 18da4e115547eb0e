"""A refused form tells everything at once, at the fields, in words that name them; repeated rows name the row they repeat."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from typing import Any

import pytest
from flask_babel import force_locale
from pydantic import ValidationError

from sifilma.activation.schemas import ActivationIn
from sifilma.cards.schemas import UnitIn
from sifilma.kernel.schemas import Strict
from sifilma.web.field_names import NAMES, name_of
from sifilma.web.texts import validation_text
from tests.destruction.test_service import OFFICIAL, WITNESSES, approved, locked
from tests.support.house import ROOT
from tests.support.visitor import Visitor, landed, one_id, value_of
from tests.support.world import World, done, letter, new_uid

LETTER = {"letter_number": "400.8.1.2/6753/Dukcapil", "letter_date": "2026-11-19", "subject": "Permohonan kartu SAM"}
FIELDS_OF_LISTS = {"q", "nama", "umur", "lama", "peran", "saluran", "tindakan", "objek", "organisasi", "pengguna", "dari", "sampai"} | {
    "state", "holder", "review", "soon", "wilayah", "jenis", "uid", "text", "province", "regency", "district", "form", "menunggu",
    "aktif", "kode", "pemegang", "sebab", "hasil",
}  # fmt: skip
"""The fields of filters, which are never refused, and choices that have no errors."""


def links(page: str) -> list[str]:
    """Return the targets of the links of the summary."""
    summary = page.partition('id="masalah"')[2].partition("</div>")[0]
    return re.findall(r'href="#([^"]+)"', summary)


def errors_of(visitor: Visitor, response: Any) -> list[str]:
    """Return the fields that the summary links to; each of them must be on the page."""
    page = response.get_data(as_text=True)
    targets = links(page)
    assert response.status_code == 422, visitor.seen
    assert [target for target in targets if f'id="{target}"' not in page] == []
    return [target.removeprefix("f-") for target in targets]


# --- words that name the field ---------------------------------------------------------------------------------------


def test_every_field_of_a_form_has_a_name() -> None:
    calls = re.compile(r'\b(?:field|area|choice|file|boxes|signatory)\(form, "([\w.]+)"')
    pages = (path.read_text("utf-8") for path in (ROOT / "sifilma").rglob("*.html"))
    named = {name for page in pages for name in calls.findall(page) if not name.endswith(".")}
    assert sorted(name for name in named - FIELDS_OF_LISTS if not NAMES.keys() >= set(name.split("."))) == []
    assert {"letter_date", "pcid", "tkdn"} <= named


def test_messages_name_the_field_and_show_a_number(sqlite_world: World) -> None:
    with pytest.raises(ValidationError) as refused:
        ActivationIn.model_validate({"latitude": "tujuh", "source": "langit", "address": ""})
    found = {str(error["loc"][0]): error for error in refused.value.errors()}
    with sqlite_world.app.test_request_context("/"), force_locale("id"):
        assert validation_text(found["latitude"], "latitude") == "Lintang harus berupa angka, misalnya −6,2247."
        assert validation_text(found["token"], "token") == "Token wajib diisi."
        assert validation_text(found["address"], "address") == "Alamat wajib diisi."
        assert name_of("witnesses.1.id_number") == "Saksi 2: Nomor identitas"
        assert validation_text(found["token"]) == "Wajib diisi."  # of a row in a file, whose column stands beside


# --- all at once -----------------------------------------------------------------------------------------------------


def test_the_unit_form_tells_what_its_schema_and_its_service_find(sqlite_world: World) -> None:
    [number] = sqlite_world.units("magetan.kepala", 1)
    visitor = Visitor(sqlite_world, "magetan.kepala")
    refused = visitor.send("/unit/daftar", hardware_number=number, model="", function="RW", pcid="1")
    assert errors_of(visitor, refused) == ["model", "pcid", "hardware_number"]
    assert "3 hal harus diperbaiki" in visitor.seen
    assert "Model wajib diisi." in visitor.seen
    body = {"hardware_number": number, "model": "LEN-ENC-1", "function": "RW", "pcid": "1"}
    told = done(sqlite_world.client("magetan.kepala").post("/units", body), 422)
    assert [(error["field"], error["pointer"]) for error in told["errors"]] == [
        ("pcid", "#/pcid"), ("hardware_number", "#/hardware_number"),
    ]  # fmt: skip


def test_a_request_tells_all_that_is_wrong_with_it(world: World) -> None:
    visitor, office = Visitor(world, "magetan.kepala"), world.client("magetan.kepala")
    refused = visitor.send(
        "/personalisasi/baru", **LETTER | {"letter_date": "2099-12-31", "subject": ""}, quantity="0", letter=(io.BytesIO(b"no"), "a.pdf")
    )
    assert errors_of(visitor, refused) == ["subject", "function", "quantity", "letter_date", "letter"]
    stated = LETTER | {"letter_date": "2008-12-31", "function": "X", "quantity": 1}
    told = done(office.send("/personalisation-requests", stated), 422)["errors"]
    assert [error["pointer"] for error in told] == ["#/request/function", "#/letter", "#/letter_date"]
    assert "2009" in told[2]["message"]
    cards = {"cards": [], "more": f"{new_uid()}\nxyz\n{new_uid()}"}
    refused = visitor.send("/aktivasi/baru", **LETTER | {"letter_date": "2099-12-31"}, kind="new", **cards)
    assert errors_of(visitor, refused) == ["more", "letter", "letter_date"]
    assert "Baris 2:" in visitor.seen


def test_a_berita_acara_tells_all_that_is_wrong_with_it(sqlite_world: World) -> None:
    made = approved(sqlite_world, locked(sqlite_world))
    visitor = Visitor(sqlite_world, "magetan.kepala")
    people = {f"official.{name}": value for name, value in OFFICIAL.items()}
    people |= {f"witnesses.{row}.{name}": value for row in (0, 1) for name, value in WITNESSES[0].items()}
    refused = visitor.send(f"/pemusnahan/{made}/rekam", place="", executed_at="2099-01-01T09:00", method="dipotong", **people)
    assert errors_of(visitor, refused) == ["place", "witnesses.1.id_number", "photos", "executed_at"]
    assert "Orang yang sama dengan saksi 1." in visitor.seen


def test_a_bast_tells_all_that_is_wrong_with_it_and_choosing_no_card_is_said_in_words(sqlite_world: World) -> None:
    sqlite_world.personalised()
    to = one_id(sqlite_world, "SELECT requester_id FROM personalisation_request")
    visitor = Visitor(sqlite_world, "operator1")
    signing = {"issuer_signatory.name": "Indah Contoh", "issuer_signatory.id_kind": "nip", "issuer_signatory.id_number": "12"}
    refused = visitor.send("/bast/buat", to=to, **signing)
    assert errors_of(visitor, refused) == ["cards", "issuer_signatory.id_number", "issuer_signatory.position"]
    assert "Pilih paling sedikit satu kartu SAM." in visitor.seen
    assert 'class="boxes is-wrong"' in refused.get_data(as_text=True)


# --- reasons that are true -------------------------------------------------------------------------------------------


def test_what_is_named_twice_is_said_with_the_row_that_it_repeats(world: World) -> None:
    office, uid = world.client("magetan.kepala"), new_uid()
    unit = {"hardware_number": "KEMBAR-1", "model": "LEN-ENC-1", "pcid": "A" * 32}
    told = done(office.post("/units", [unit, unit | {"hardware_number": "KEMBAR-2"}, unit | {"pcid": None}]), 422)["errors"]
    assert [(error["row"], error["field"], error["message"]) for error in told] == [
        (2, "pcid", "The same as row 1."), (3, "hardware_number", "The same as row 1."),
    ]  # fmt: skip
    asked = world.submitted(function="R", quantity=2)
    world.approve("personalisation-requests", asked["id"], "penyetuju1")
    results = [{"sam_uid": uid, "outcome": "personalised"}] * 2
    told = done(world.client("operator1").post(f"/personalisation-requests/{asked['id']}/results", {"results": results}), 422)["errors"]
    assert [(error["row"], error["message"]) for error in told] == [(2, "The same as row 1.")]
    received = world.received()[0]
    body = {"cards": [received, new_uid(), received], "cause": "locked"}
    told = done(office.post("/destructions", body), 422)["errors"]
    assert [error["pointer"] for error in told] == ["#/cards/0", "#/cards/1", "#/cards/2"]
    assert told[2]["message"] == "The same as row 1."


# --- warnings before saving, the function of the model ---------------------------------------------------------------


def test_warnings_are_asked_about_before_anything_is_saved(sqlite_world: World) -> None:
    visitor, typed = Visitor(sqlite_world, "magetan.kepala"), {"hardware_number": "PENDEK-1", "model": "LEN-ENC-1", "sam_perso": "30154501"}
    asked = visitor.send("/unit/daftar", **typed)
    assert asked.status_code == 200
    assert "Simpan juga" in visitor.seen
    assert "8 karakter, bukan 16" in visitor.seen or "8" in visitor.seen
    assert sqlite_world.sql("SELECT COUNT(*) FROM unit") == [(0,)]
    mark = value_of(asked, "confirmed_warnings")
    other = visitor.send("/unit/daftar", **typed | {"sam_perso": "301545012"}, confirmed_warnings=mark)
    assert other.status_code == 200  # another warning than the one that was confirmed
    landed(visitor.send("/unit/daftar", **typed, confirmed_warnings=mark))
    assert sqlite_world.sql("SELECT function, sam_perso FROM unit") == [("RW", "30154501")]  # the function is the model's


def test_more_cards_than_machines_are_asked_about(sqlite_world: World) -> None:
    sqlite_world.units("magetan.kepala", 6)
    visitor = Visitor(sqlite_world, "magetan.kepala")
    fields = LETTER | {"function": "RW", "quantity": "500"}
    asked = visitor.send("/personalisasi/baru", **fields, letter=(io.BytesIO(letter()), "surat.pdf"))
    assert "Diminta 500 kartu RW, padahal unit yang terdaftar untuknya 6." in visitor.seen
    mark = value_of(asked, "confirmed_warnings")
    landed(visitor.send("/personalisasi/baru", **fields, letter=(io.BytesIO(letter()), "surat.pdf"), confirmed_warnings=mark))
    stated = LETTER | {"function": "RW", "quantity": 400, "letter_number": "400.8.1.2/6754/Dukcapil"}
    made = done(sqlite_world.client("magetan.kepala").send("/personalisation-requests", stated, letter=letter()), 201)
    assert len(made["warnings"]) == 1


def test_a_unit_without_a_function_has_its_models_and_another_one_is_refused(sqlite_world: World) -> None:
    office = sqlite_world.client("magetan.kepala")
    assert done(office.post("/units", {"hardware_number": "M-1", "model": "LEN-ENC-1"}), 201)["function"] == "RW"
    wrong = {"hardware_number": "M-2", "model": "LEN-ENC-1", "function": "R"}
    assert [error["field"] for error in done(office.post("/units", wrong), 422)["errors"]] == ["function"]
    maker = sqlite_world.client("mandiri.kepala")
    assert [error["field"] for error in done(maker.post("/units", {"hardware_number": "M-3", "model": "LEN-ENC-1"}), 422)["errors"]] == [
        "model"
    ]
    page = Visitor(sqlite_world, "magetan.kepala").get("/unit/daftar").get_data(as_text=True)
    assert "<summary>Lanjutan</summary>" in page
    assert 'data-sets="f-function"' in page


# --- letters, as they are compared -----------------------------------------------------------------------------------


def test_one_letter_in_many_spellings_is_one_and_a_number_too_long_is_said_so(world: World) -> None:
    office = world.client("magetan.kepala")
    day = (world.clock.now() - timedelta(days=1)).date().isoformat()

    def draft(number: str) -> Any:
        return office.send(
            "/personalisation-requests",
            LETTER | {"letter_number": number, "letter_date": day, "function": "R", "quantity": 1},
            letter=letter(),
        )

    assert done(draft("470 / 773 / Dukcapil/2018"), 201)["letter_number"] == "470 / 773 / Dukcapil/2018"
    for again in ("470 /\u200b 773 /\u200b Dukcapil/2018", "\ufeff470/773/DUKCAPIL/2018", "470 \uff0f 773 \uff0f Dukcapil\uff0f2018"):
        assert done(draft(again), 409)["type"].endswith("letter-known")
    for long in ("470/" + 96 * "\u00df", "470/" + 50 * "\ufb03", "470/" + 60 * "\u0130"):
        assert draft(long).status_code in (201, 422)
    assert [error["field"] for error in done(draft("470/" + 96 * "\u00df"), 422)["errors"]] == ["letter_number"]


def every_schema(above: type[Strict] = Strict) -> list[type[Strict]]:
    return [one for below in above.__subclasses__() for one in (below, *every_schema(below))]


def test_no_text_of_a_schema_keeps_what_shows_nothing() -> None:
    """Either it is refused, or what is kept is without it; passwords alone are taken as they are."""
    kept = []
    for schema in every_schema():
        for name, about in schema.model_fields.items():
            if about.annotation is not str or "as typed" in about.metadata:
                continue
            for planted in ("Ab\u200bcd\u00ad 1", "Abcd\ue000 1", "Abcd\u0378 1"):
                try:
                    schema.model_validate({name: planted})
                except ValidationError as refused:
                    errors = {error["loc"][0]: error for error in refused.errors() if error["loc"]}
                    if name not in errors and planted != "Ab\u200bcd\u00ad 1":
                        kept.append((schema.__name__, name, planted))
                else:
                    if planted != "Ab\u200bcd\u00ad 1":
                        kept.append((schema.__name__, name, planted))
    assert kept == []
    assert UnitIn.model_validate({"hardware_number": "A1", "model": "LE\u200bN\n-1"}).model == "LEN -1"
