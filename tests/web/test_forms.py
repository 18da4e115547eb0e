"""A refused form keeps its input and names the faults by field and by row, in the language of the page."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import pytest
from werkzeug.datastructures import MultiDict

from sifilma.accounts.service import register_organisation
from sifilma.cards.schemas import UnitIn
from sifilma.kernel.actor import OrganisationKind
from sifilma.kernel.errors import Conflict, Forbidden, Invalid, NotFound, SifilmaError, TooMany
from sifilma.kernel.text import say
from sifilma.web.forms import Form
from tests.support.fsck_findings import fsck_findings
from tests.support.visitor import Visitor, value_of
from tests.support.world import World


def refused(world: World, error: Exception) -> Form:
    """Return a form whose attempt raised this error."""
    form = Form()
    with world.app.test_request_context("/"), world.context() as ctx, form.attempt(ctx):
        raise error
    return form


def test_the_input_is_kept_and_each_wrong_field_is_explained(house: World) -> None:
    visitor = Visitor(house, "magetan.kepala")
    typed = {"hardware_number": "  crd 1 ", "model": "LEN-ENC-1", "function": "RW", "pcid": "<script>'\"", "sam_perso": "x" * 40}
    response = visitor.send("/unit/daftar", **typed)
    assert response.status_code == 422
    assert value_of(response, "hardware_number") == typed["hardware_number"]
    assert value_of(response, "pcid") == typed["pcid"]
    assert "2 hal harus diperbaiki" in visitor.seen
    assert "PCID terdiri atas 32 karakter heksadesimal" in visitor.seen
    assert "SAM Perso memuat paling banyak 16 karakter." in visitor.seen
    page = response.get_data(as_text=True)
    assert '<a href="#f-pcid">' in page
    assert 'id="e-pcid"' in page
    assert 'aria-invalid="true"' in page
    assert "<script>'" not in page
    assert "selected>LEN-ENC-1" in page


def test_a_form_with_an_idempotency_key_does_not_lead_nowhere_when_it_is_sent_again(world: World) -> None:
    """What a key stores has no Location, so a repeated form would be answered by a redirect without a target."""
    visitor = Visitor(world, "magetan.kepala")
    form = {"csrf_token": visitor.csrf, "hardware_number": "dua kali", "model": "LEN-ENC-1", "function": "RW"}
    headers = {"Accept": "text/html", "Idempotency-Key": "k"}
    first, again = (visitor.client.post("/unit/daftar", data=form, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (303, 422)
    assert first.location.startswith("/unit/")
    assert world.sql("SELECT COUNT(*) FROM idempotency_key") == [(0,)]
    assert fsck_findings(world) == []


def test_a_refusal_of_the_service_is_shown_at_its_field(house: World) -> None:
    [number] = house.units("magetan.kepala", 1)
    visitor = Visitor(house, "magetan.kepala")
    response = visitor.send("/unit/daftar", hardware_number=number, model="LEN-ENC-1", function="RW")
    assert response.status_code == 422
    assert f"{number} sudah terdaftar." in visitor.seen
    assert house.sql("SELECT count(*) FROM unit WHERE hardware_number = :number", number=number) == [(1,)]


def test_an_accepted_form_leads_to_the_new_object_and_reports_it_once(house: World) -> None:
    visitor = Visitor(house, "magetan.kepala")
    response = visitor.send("/unit/daftar", hardware_number="baik 1", model="LEN-ENC-1", function="RW", pcid="")
    assert response.status_code == 303
    assert response.location.endswith("?selesai=registered")
    visitor.get(response.location)
    assert "Telah didaftarkan." in visitor.seen
    assert "BAIK1" in visitor.seen
    visitor.get(response.location.replace("registered", "<b>anything"))
    assert "anything" not in visitor.seen


@pytest.mark.parametrize(
    ("error", "status", "errors"),
    [
        (
            Invalid.field("to", "Choose the organisation that receives the cards."),
            422,
            [("to", "Pilih organisasi yang menerima kartu SAM.")],
        ),
        (Invalid("The agreement ends before it begins."), 422, [("", "Perjanjian kerja sama berakhir sebelum dimulai.")]),
        (Invalid(), 422, [("", "Data yang dimasukkan tidak dapat diterima")]),
        (Conflict(say("The card is %(state)s.", state="lost"), state="lost"), 409, [("", "Kartu SAM berstatus “Hilang”.")]),
        (TooMany(retry_after=45), 429, [("", "Terlalu banyak percobaan. Coba lagi dalam 45 detik.")]),
    ],
)
def test_a_refusal_is_kept_as_a_translated_message(house: World, error: SifilmaError, status: int, errors: list[Any]) -> None:
    form = refused(house, error)
    assert (form.status, form.errors, form.rows) == (status, errors, [])
    assert form.error(errors[0][0]) == errors[0][1]


def test_wrong_rows_are_listed_with_their_numbers(house: World) -> None:
    rows: list[dict[str, Any]] = [
        {"row": 3, "field": "pcid", "message": "This PCID is taken."},
        {"field": "batch", "message": "The file is empty."},
    ]
    form = refused(house, Invalid("2 rows", errors=rows))
    assert form.rows == [{"row": 3, "field": "pcid", "message": "PCID ini sudah terpakai."}]
    assert form.errors[0] == ("batch", "Berkas kosong.")
    assert form.errors[1][0] == "rows"


@pytest.mark.parametrize("error", [NotFound(), Forbidden(), RuntimeError("x")])
def test_an_exception_that_is_not_a_refusal_of_a_form_is_raised(house: World, error: Exception) -> None:
    with pytest.raises(type(error)):
        refused(house, error)


def test_a_refused_attempt_saves_nothing_and_the_page_can_still_read(house: World) -> None:
    before = house.sql("SELECT count(*) FROM organisation")
    form = Form()
    with house.app.test_request_context("/"), house.context() as ctx:
        ctx.uow.end_read()
        ctx.uow.begin_write()
        with form.attempt(ctx):
            register_organisation(ctx, OrganisationKind.INSTITUTION, "Lembaga Sementara", None)
            ctx.session.flush()
            raise Conflict("x")
        assert ctx.session.connection().exec_driver_sql("SELECT 1").scalar() == 1
    assert house.sql("SELECT count(*) FROM organisation") == before


def test_empty_fields_count_as_missing_and_white_space_is_stripped() -> None:
    form = Form(MultiDict({"hardware_number": " a-1 ", "model": "M", "function": "R", "pcid": "  ", "planted": "x"}))
    made = form.model(UnitIn)
    assert (made.hardware_number, made.pcid) == ("A-1", None)
    assert form.get("pcid") == "  "
    assert form.get("nowhere", "else") == "else"


def test_a_form_is_filled_in_with_existing_values() -> None:
    form = Form.of(day=date(2026, 11, 24), count=3, note=None, id=UUID(int=1))
    assert dict(form.values) == {"day": "2026-11-24", "count": "3", "id": str(UUID(int=1))}


def test_a_throttled_form_has_a_retry_after_header(house: World) -> None:
    form = refused(house, TooMany(retry_after=45))
    with house.app.test_request_context("/masuk"):
        assert form.again("sign_in/masuk.html").headers["Retry-After"] == "45"
