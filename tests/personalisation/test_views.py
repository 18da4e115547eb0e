"""The pages for personalisation requests: who sees what, which reasons refusals give, and that input is kept."""

from __future__ import annotations

import csv
import io
import re
import secrets
from typing import Any
from uuid import uuid4

import pytest

from sifilma.documents.indonesian import WIB
from sifilma.documents.tables.writing import write_csv, write_xlsx
from sifilma.kernel.actor import Role
from sifilma.kernel.db import db
from sifilma.personalisation import batch
from tests.accounts.known_people import further_account
from tests.documents.files import table_lines
from tests.support.counting import Counted, counted
from tests.support.visitor import value_of
from tests.support.world import MAGETAN_PLACE, Client, World, done, letter, new_uid

LETTER = {"letter_number": "470/12/Dukcapil", "letter_date": "2026-11-01", "subject": "Permohonan kartu SAM"}
BATCH = ("hardware_number", "model", "pcid", "sam_uid")


class Person:
    """A user with one session who opens pages and sends forms."""

    def __init__(self, world: World, name: str, *, fresh: bool = True) -> None:
        self.client: Client = world.client(name, fresh=fresh)
        self.headers = self.client.headers | {"Accept": "text/html"}
        self.browser = world.app.test_client(use_cookies=False)

    def see(self, path: str) -> Any:
        return self.browser.get(path, headers=self.headers)

    def text(self, path: str, status: int = 200) -> str:
        answer = self.see(path)
        assert answer.status_code == status, path
        return str(answer.get_data(as_text=True))

    def send(self, path: str, **fields: Any) -> Any:
        data = {name: (io.BytesIO(value[1]), value[0]) if isinstance(value, tuple) else value for name, value in fields.items()}
        return self.browser.post(path, data={"sure": "yes"} | data, headers=self.headers)

    def insist(self, path: str, **fields: Any) -> Any:
        """Send a form that is asked about because of its warnings, and send it again as it is."""
        return self.send(path, **fields, confirmed_warnings=value_of(self.send(path, **fields), "confirmed_warnings"))


def body(answer: Any) -> str:
    return str(answer.get_data(as_text=True))


def request_of(answer: Any) -> str:
    assert answer.status_code == 303, body(answer)
    found = re.match(r"/personalisasi/([0-9a-f-]{36})", answer.headers["Location"])
    assert found is not None
    return found[1]


def pdf() -> tuple[str, bytes]:
    return ("surat.pdf", letter())


def submitted(world: World, function: str = "RW", quantity: int = 2) -> str:
    return str(world.submitted(function=function, quantity=quantity)["id"])


def approved(world: World, quantity: int = 2) -> str:
    request = submitted(world, "R", quantity)
    world.approve("personalisation-requests", request, "penyetuju1")
    return request


# --- drafting ----------------------------------------------------------------------------------------------------------


def test_an_office_drafts_corrects_and_submits(sqlite_world: World) -> None:
    office = Person(sqlite_world, "magetan.kepala")
    request = request_of(office.send("/personalisasi/baru", **LETTER, function="RW", quantity="3", letter=pdf()))
    assert 'value="470/12/Dukcapil"' in office.text(f"/personalisasi/{request}/ubah")
    mended = LETTER | {"letter_number": "Tanpa pola"}
    request_of(office.insist(f"/personalisasi/{request}/ubah", **mended, function="RW", quantity="4"))
    shown = office.text(f"/personalisasi/{request}")
    assert "400.8.1.2/6753/Dukcapil" in shown  # an unusual number gives a warning and is accepted
    assert request_of(office.send(f"/personalisasi/{request}/ajukan", note="")) == request
    assert office.send(f"/personalisasi/{request}/ubah", **LETTER, function="RW", quantity="9").status_code == 409
    assert "/ubah" not in office.text(f"/personalisasi/{request}")


def test_the_input_is_kept_and_each_wrong_field_is_explained(sqlite_world: World) -> None:
    office = Person(sqlite_world, "magetan.kepala")
    answer = office.send("/personalisasi/baru", **LETTER | {"letter_date": "kemarin"}, function="R", quantity="0")
    assert answer.status_code == 422
    for part in ('value="470/12/Dukcapil"', 'id="e-letter_date"', 'id="e-quantity"'):
        assert part in body(answer)
    without = office.send("/personalisasi/baru", **LETTER, function="R", quantity="1")
    assert 'id="e-letter"' in body(without)
    assert sqlite_world.sql("SELECT COUNT(*) FROM personalisation_request")[0][0] == 0


def test_a_manufacturer_chooses_the_buyer_and_gets_its_units_as_a_template(sqlite_world: World) -> None:
    numbers = sqlite_world.units("mandiri.kepala", 2, "SOFTORB-CRD-1", "R", pcid=False)
    other = sqlite_world.units("mandiri.kepala", 1, "LEN-CRD-1", "R", pcid=False)[0]
    maker = Person(sqlite_world, "softorb.kepala")
    assert "BANK MANDIRI" in maker.text("/personalisasi/baru")  # the only one with units that wait
    sqlite_world.units("bpjs.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)
    assert maker.see("/personalisasi/baru").headers["Location"] == "/personalisasi/pembeli"
    found = maker.text("/personalisasi/pembeli?q=mandi")
    assert ("BANK MANDIRI" in found, "BPJS" in found) == (True, False)
    buyer, owner = sqlite_world.organisation_of("mandiri.kepala"), sqlite_world.client("mandiri.kepala")
    at = done(owner.post("/outlets", MAGETAN_PLACE | {"name": "KC Magetan", "branch_code": "KC-1", "address": "Jalan Raya 1"}), 201)
    unit = done(owner.get("/units", hardware_number=numbers[0]))["items"][0]["id"]
    done(owner.post(f"/units/{unit}/move", {"outlet": at["id"]}))
    assert "BANK MANDIRI" in maker.text(f"/personalisasi/baru?pembeli={buyer}")
    data = maker.see(f"/personalisasi/pembeli/{buyer}/templat.csv").get_data()
    rows = table_lines(data, batch.BATCH)
    assert list(rows[0]) == ["hardware_number", "model", "pcid", "sam_uid", "sam_perso", "outlet"]
    assert {row["hardware_number"]: row["outlet"] for row in rows} == {numbers[0]: "KC-1", numbers[1]: ""}
    assert sorted(row["hardware_number"] for row in rows) == sorted(numbers)
    assert other.encode() not in data
    assert maker.see(f"/personalisasi/pembeli/{buyer}/templat.xlsx").get_data().startswith(b"PK")


@pytest.mark.parametrize("buyer", ["softorb.kepala", "penyetuju1"])
def test_only_institutions_and_offices_are_buyers(sqlite_world: World, buyer: str) -> None:
    maker = Person(sqlite_world, "softorb.kepala")
    for asked in (sqlite_world.organisation_of(buyer), "x"):
        assert maker.see(f"/personalisasi/baru?pembeli={asked}").status_code == 404, asked


def test_wrong_rows_of_a_batch_are_explained_and_nothing_is_saved(world: World) -> None:
    numbers = world.units("mandiri.kepala", 2, "SOFTORB-CRD-1", "R", pcid=False)
    buyer, maker = str(world.organisation_of("mandiri.kepala")), Person(world, "softorb.kepala")
    new = [secrets.token_hex(16), ""]
    rows = [(numbers[0], "SOFTORB-CRD-1", "12", "", ""), [""] * 5, ("NO-SUCH", "SOFTORB-CRD-1", *new, ""),
            (numbers[1], "SOFTORB-CRD-1", secrets.token_hex(16), "", "KC-1")]  # fmt: skip
    fields = LETTER | {"function": "R", "on_behalf_of": buyer, "purchase_order_number": "PO-77"}
    files = {"letter": pdf(), "purchase_order": pdf()}
    refused = maker.send("/personalisasi/baru", **fields, **files, batch=("batch.xlsx", write_xlsx((*BATCH, "Gerai"), rows)))
    assert refused.status_code == 422
    assert "<td>2</td><td>PCID</td>" in body(refused)
    assert "<td>4</td><td>Nomor mesin</td>" in body(refused)
    assert "<td>5</td><td>Gerai</td>" in body(refused)
    for kept in ('value="PO-77"', f'value="{buyer}"', 'value="470/12/Dukcapil"'):
        assert kept in body(refused)
    assert world.sql("SELECT COUNT(*) FROM personalisation_request")[0][0] == 0
    good = [(number, "SOFTORB-CRD-1", secrets.token_hex(16), new_uid()) for number in numbers]
    request = request_of(maker.send("/personalisasi/baru", **fields, **files, batch=("batch.csv", write_csv(BATCH, good))))
    assert numbers[0] in maker.text(f"/personalisasi/{request}")
    assert f'value="{buyer}"' in maker.text(f"/personalisasi/{request}/ubah")


# --- deciding ----------------------------------------------------------------------------------------------------------


def test_two_approvers_approve_the_content_they_saw(world: World) -> None:
    request = submitted(world)
    digest = world.client("penyetuju1").get(f"/personalisation-requests/{request}").json["digest"]
    for name in ("penyetuju1", "penyetuju2"):
        approver = Person(world, name)
        assert digest in approver.text(f"/personalisasi/{request}")
        assert request_of(approver.send(f"/personalisasi/{request}/setujui", digest=digest, note="")) == request
    first = Person(world, "penyetuju1").text(f"/personalisasi/{request}")
    assert "Arif Contoh" in first
    assert "Bunga Contoh" in first
    assert "/setujui" not in first


def test_another_digest_is_a_conflict_and_the_page_shows_the_present_content(sqlite_world: World) -> None:
    request = submitted(sqlite_world)
    answer = Person(sqlite_world, "penyetuju1").send(f"/personalisasi/{request}/setujui", digest="f" * 64, note="")
    assert answer.status_code == 409
    assert 'role="alert"' in body(answer)
    digest = sqlite_world.client("penyetuju1").get(f"/personalisation-requests/{request}").json["digest"]
    assert digest in body(answer)


def test_an_approval_needs_a_fresh_code_and_the_form_asks_for_it(sqlite_world: World) -> None:
    request = submitted(sqlite_world, "R")
    approver = Person(sqlite_world, "penyetuju1", fresh=False)
    shown = approver.text(f"/personalisasi/{request}")
    assert shown.count('name="otp_code"') == 1
    digest = re.findall(r'name="digest" value="([0-9a-f]{64})"', shown)[0]
    assert approver.send(f"/personalisasi/{request}/setujui", digest=digest).status_code == 403
    code = sqlite_world.code("penyetuju1")
    assert approver.send(f"/personalisasi/{request}/setujui", digest=digest, otp_code=code).status_code == 303


def test_the_submitter_is_told_why_they_cannot_approve(sqlite_world: World) -> None:
    request = submitted(sqlite_world, "R")
    further_account(sqlite_world, "magetan.kepala", "penyetuju1.lain", "penyetuju1", Role.APPROVER)
    approver = Person(sqlite_world, "penyetuju1.lain")
    shown = approver.text(f"/personalisasi/{request}")
    assert "/setujui" not in shown
    assert "note wait" in shown
    assert request in approver.text("/personalisasi")
    assert request not in approver.text("/personalisasi?menunggu=1")
    digest = sqlite_world.client("penyetuju1").get(f"/personalisation-requests/{request}").json["digest"]
    assert approver.send(f"/personalisasi/{request}/setujui", digest=digest).status_code == 403


def test_the_requester_reads_the_reason_of_a_return(sqlite_world: World) -> None:
    request = submitted(sqlite_world, "R")
    operator, office = Person(sqlite_world, "operator1"), Person(sqlite_world, "magetan.kepala")
    assert operator.send(f"/personalisasi/{request}/verifikasi", note="").status_code == 303
    assert 'id="e-note"' in body(operator.send(f"/personalisasi/{request}/kembalikan", note=""))
    assert operator.send(f"/personalisasi/{request}/kembalikan", note="Jumlah tidak sama dengan surat").status_code == 303
    assert "Jumlah tidak sama dengan surat" in office.text(f"/personalisasi/{request}")
    assert office.send(f"/personalisasi/{request}/batalkan", note="").status_code == 303


@pytest.mark.parametrize(
    ("who", "verb"),
    [
        ("magetan.kepala", "setujui"),
        ("magetan.kepala", "verifikasi"),
        ("operator1", "setujui"),
        ("operator1", "tolak"),
        ("auditor1", "kembalikan"),
        ("auditor1", "ajukan"),
        ("penyetuju1", "ajukan"),
        ("penyetuju1", "hasil"),
        ("magetan.kepala", "hasil"),
    ],
)
def test_a_forbidden_step_is_neither_offered_nor_taken(sqlite_world: World, who: str, verb: str) -> None:
    request, person = submitted(sqlite_world), Person(sqlite_world, who)
    assert f"{request}/{verb}" not in person.text(f"/personalisasi/{request}")
    assert person.send(f"/personalisasi/{request}/{verb}", digest="f" * 64, note="Alasan").status_code == 403


def test_another_organisations_request_is_not_found(world: World) -> None:
    request, stranger = submitted(world), Person(world, "bangli.kepala")
    for path in ("", "/ubah", "/berkas/surat"):
        stranger.text(f"/personalisasi/{request}{path}", 404)
    assert stranger.send(f"/personalisasi/{request}/batalkan", note="").status_code == 404
    assert request not in stranger.text("/personalisasi")
    assert request not in body(stranger.see("/personalisasi?unduh=csv"))
    assert (
        Person(world, "jatim.kepala").see(f"/personalisasi/{request}/ubah").status_code == 403
    )  # its province may read it but not change it
    Person(world, "magetan.kepala").text(f"/personalisasi/{uuid4()}", 404)


# --- files -------------------------------------------------------------------------------------------------------------


def test_a_letter_is_shown_in_a_frame_and_recorded(world: World) -> None:
    request, approver = submitted(world), Person(world, "penyetuju1")
    shown = approver.see(f"/personalisasi/{request}/berkas/surat")
    assert (shown.get_data(), shown.headers["Content-Type"]) == (letter(), "application/pdf")
    assert shown.headers["Content-Disposition"].startswith("inline")
    assert shown.headers["Content-Security-Policy"] == "sandbox; default-src 'none'; frame-ancestors 'self'"
    saved = approver.see(f"/personalisasi/{request}/berkas/surat?unduh=1")
    assert saved.headers["Content-Disposition"].startswith("attachment")
    assert [row[0] for row in world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'document.download'")] == [2]
    approver.text(f"/personalisasi/{request}/berkas/pesanan", 404)
    approver.text(f"/personalisasi/{request}/berkas/lain", 404)


# --- results -----------------------------------------------------------------------------------------------------------


def test_results_are_entered_by_form_in_parts(world: World) -> None:
    request, operator = approved(world, 3), Person(world, "operator1")
    uids = [new_uid() for _ in range(4)]
    fields = {"outcome": ["personalised"] * 3, "hardware_number": [""] * 3, "kcv": [""] * 3}
    part = operator.send(f"/personalisasi/{request}/hasil", sam_uid=[uids[0], "", ""], **fields)
    assert request_of(part) == request
    shown = operator.text(f"/personalisasi/{request}")
    assert '<progress id="maju" max="3" value="1">' in shown
    assert operator.text(f"/personalisasi/{request}/hasil").count('name="sam_uid"') == 2
    failed = {"sam_uid": [uids[1], uids[2]], "outcome": ["failed", "personalised"], "hardware_number": ["", ""], "kcv": ["", ""]}
    assert operator.insist(f"/personalisasi/{request}/hasil", **failed).status_code == 303
    last = {"sam_uid": uids[3], "outcome": "personalised", "hardware_number": "", "kcv": ""}
    assert operator.send(f"/personalisasi/{request}/hasil", **last).status_code == 303
    assert world.client("operator1").get(f"/personalisation-requests/{request}").json["state"] == "completed"
    assert 'name="sam_uid"' not in operator.text(f"/personalisasi/{request}/hasil")


def test_wrong_results_are_named_by_row_and_the_input_is_kept(world: World) -> None:
    request, operator, uid = approved(world, 3), Person(world, "operator1"), new_uid()
    fields = {"sam_uid": ["", uid, "123"], "outcome": ["personalised"] * 3, "hardware_number": ["", "", ""], "kcv": ["", "", ""]}
    answer = operator.send(f"/personalisasi/{request}/hasil", **fields)
    assert answer.status_code == 422
    assert '<td><a href="#f-sam_uid-3">3</a></td>' in body(answer)
    assert f'value="{uid}"' in body(answer)
    wrong_key = operator.send(f"/personalisasi/{request}/hasil", **fields | {"sam_uid": ["", uid, ""], "kcv": ["", "000000", ""]})
    assert '<td><a href="#f-kcv-2">2</a></td>' in body(wrong_key)
    empty = operator.send(f"/personalisasi/{request}/hasil", **fields | {"sam_uid": ["", "", ""]})
    assert empty.status_code == 422
    assert world.sql("SELECT COUNT(*) FROM card")[0][0] == 0


def test_results_are_uploaded_by_a_file_made_from_the_template(sqlite_world: World) -> None:
    numbers = sqlite_world.units("mandiri.kepala", 2, "SOFTORB-CRD-1", "R", pcid=False)
    named = new_uid()
    rows: list[tuple[str, ...]] = [
        (numbers[0], "SOFTORB-CRD-1", secrets.token_hex(16), named),
        (numbers[1], "SOFTORB-CRD-1", secrets.token_hex(16), ""),
    ]
    request, operator = sqlite_world.batch(rows), Person(sqlite_world, "operator1")
    sqlite_world.approve("personalisation-requests", request, "penyetuju1")
    assert named in operator.text(f"/personalisasi/{request}/hasil")
    template = operator.see(f"/personalisasi/{request}/hasil/templat.csv").get_data().decode("utf-8-sig")
    table = list(csv.reader(io.StringIO(template)))
    assert table[3:] == [[named, "", numbers[0], ""], ["", "", numbers[1], ""]]
    table[3][1], table[4][:2] = "Berhasil", ["zz", "berhasil"]
    refused = operator.send(f"/personalisasi/{request}/hasil", results=("hasil.csv", write_csv(table[0], table[1:])))
    assert "<td>5</td><td>UID kartu</td>" in body(refused)  # the row's number in the sheet
    table[4][0] = named
    twice = operator.send(f"/personalisasi/{request}/hasil", results=("hasil.csv", write_csv(table[0], table[1:])))
    assert "<td>5</td><td>UID kartu</td>" in body(twice)
    table[4][0] = new_uid()
    done = operator.send(f"/personalisasi/{request}/hasil", results=("hasil.xlsx", write_xlsx(table[0], table[1:])))
    assert done.location.startswith(f"/bast/buat?permohonan={request}")
    assert sqlite_world.client("operator1").get(f"/personalisation-requests/{request}").json["state"] == "completed"


# --- lists -------------------------------------------------------------------------------------------------------------


def test_requests_are_found_by_state_number_and_organisation(world: World) -> None:
    waiting, done = submitted(world), approved(world, 1)
    number = world.client("operator1").get(f"/personalisation-requests/{waiting}").json["letter_number"]
    operator = Person(world, "operator1")
    for query, there, absent in (("state=submitted", waiting, done), (f"q={number[2:]}", waiting, done), ("state=approved", done, waiting)):
        found = operator.text(f"/personalisasi?{query}")
        assert (there in found, absent in found) == (True, False), query
    assert waiting in operator.text("/personalisasi?q=magetan")
    assert waiting not in operator.text("/personalisasi?q=bangli")


def test_the_waiting_requests_differ_by_reader(world: World) -> None:
    fresh, ready, half = submitted(world), approved(world, 1), submitted(world)
    world.approve("personalisation-requests", half, "penyetuju1")
    assert Person(world, "operator1").send(f"/personalisasi/{half}/verifikasi", note="").status_code == 303
    for who, waits in (("penyetuju1", {fresh}), ("penyetuju2", {fresh, half}), ("operator1", {fresh, ready}), ("magetan.kepala", set())):
        found = Person(world, who).text("/personalisasi?menunggu=1")
        assert {request for request in (fresh, ready, half) if request in found} == waits, who


def statements(world: World, person: Person, path: str) -> Counted:
    with world.app.app_context():
        engine = db.engine
    with counted(engine) as found:
        person.text(path)
    return found


def test_the_statements_of_a_page_do_not_grow_with_its_rows(sqlite_world: World) -> None:
    numbers = sqlite_world.units("mandiri.kepala", 12, "SOFTORB-CRD-1", "R", pcid=False)
    rows: list[tuple[str, ...]] = [(number, "SOFTORB-CRD-1", secrets.token_hex(16), new_uid()) for number in numbers]
    request = sqlite_world.batch(rows)
    for _ in range(3):
        submitted(sqlite_world)
    approver, operator, maker = (Person(sqlite_world, name) for name in ("penyetuju1", "operator1", "softorb.kepala"))
    assert len(statements(sqlite_world, approver, "/personalisasi").statements) <= 6
    basis = 5 + 2  # beside the request: units, cards, earlier letters, open requests, agreement; and its conversation
    assert len(statements(sqlite_world, approver, f"/personalisasi/{request}").statements) <= 14 + basis
    sqlite_world.approve("personalisation-requests", request, "penyetuju1")
    assert len(statements(sqlite_world, operator, f"/personalisasi/{request}/hasil").statements) <= 9
    assert len(statements(sqlite_world, maker, "/personalisasi/pembeli").statements) <= 5


def test_a_request_is_saved_and_submitted_in_one_press(world: World) -> None:
    head = Person(world, "magetan.kepala")
    form = head.see("/personalisasi/baru")
    assert (value_of(form, "letter_date"), value_of(form, "subject")) == (
        world.clock.now().astimezone(WIB).date().isoformat(),
        "Permohonan personalisasi kartu SAM",
    )
    asked = {"subject": value_of(form, "subject"), "letter_date": value_of(form, "letter_date"), "function": "R", "quantity": "1"}
    sent = asked | {"letter_number": "470/1/Dukcapil", "lalu": "ajukan"}
    assert "selesai=submitted" in head.send("/personalisasi/baru", **sent, letter=("surat.pdf", letter())).headers["Location"]
    odd = head.send("/personalisasi/baru", **sent | {"letter_number": "tanpa pola"}, letter=("surat.pdf", letter()))
    assert "Tetap ajukan" in body(odd)  # what must be looked at is asked about first
    assert world.sql("SELECT state FROM personalisation_request") == [("submitted",)]


def test_the_last_results_lead_to_the_bast_of_their_cards(sqlite_world: World) -> None:
    asked = sqlite_world.submitted("magetan.kepala", "R", 2)["id"]
    sqlite_world.approve("personalisation-requests", asked, "penyetuju1")
    operator, empty = Person(sqlite_world, "operator1"), {"hardware_number": "", "kcv": ""}
    path, uids = f"/personalisasi/{asked}/hasil", [new_uid(), new_uid()]
    first = operator.send(path, sam_uid=uids[0], outcome="personalised", **empty).headers["Location"]
    assert first.startswith(f"/personalisasi/{asked}?")
    last = operator.send(path, sam_uid=uids[1], outcome="personalised", **empty).headers["Location"]
    assert last.startswith("/bast/buat?permohonan=")
    page = operator.text(last)
    assert all(f'value="{uid}" checked' in page for uid in uids)
