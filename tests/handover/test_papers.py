"""The BAST as a paper: made once, stored as issued, numbered by issuer, with everything that the two sides sign for."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from pikepdf import Pdf

from config.settings import Settings
from sifilma.cards.identifiers import pcid_seal
from sifilma.documents import issued_papers
from sifilma.handover import bast, tasks
from sifilma.handover.queries import Stated
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Unavailable
from sifilma.resources import resources
from sifilma.web.command import command_context
from tests.documents.files import text_of
from tests.support.visitor import Visitor, goes_to, value_of, words
from tests.support.world import World, done, new_uid

GIVER = {"name": "Satria Contoh", "id_kind": "nip", "id_number": "19641231 199003 1 099", "position": "Direktur"}
TAKER = {"name": "Oe", "id_kind": "employee", "id_number": "EMP-0012", "position": "Kepala Dinas"}


def issue(world: World, uids: list[str], who: str = "operator1", to: str = "magetan.kepala", **more: Any) -> Any:
    return world.client(who).post("/handovers", {"to": str(world.organisation_of(to)), "cards": uids} | more)


def batch(world: World) -> tuple[str, str, str]:
    """Personalise a bank's card in its machine through its maker; return hardware number, PCID and UID."""
    pcid, uid = "ab" * 16, new_uid()
    number = world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)[0]
    request = world.batch([(number, "SOFTORB-CRD-1", pcid, uid)])
    world.approve("personalisation-requests", request, "penyetuju1")
    results = {"results": [{"sam_uid": uid, "outcome": "personalised"}]}
    done(world.client("operator1").post(f"/personalisation-requests/{request}/results", results))
    return number, pcid, uid


def test_a_bast_states_what_both_sides_sign_for_and_is_stored_as_issued(world: World, tmp_path: Path) -> None:
    number, pcid, uid = batch(world)
    told = issue(world, [uid], to="softorb.kepala", place="Jakarta\u200b Sela\u00adtan", issuer_signatory=GIVER, receiver_signatory=TAKER)
    made, path = done(told, 201), f"/handovers/{told.json['id']}"
    given = world.client("softorb.kepala").get(f"{path}/document").get_data()
    text = text_of(given, tmp_path)
    [(letter,)] = world.sql("SELECT letter_number FROM personalisation_request")
    for said in (
        "Senin tanggal dua puluh tiga bulan November tahun dua ribu dua puluh enam (23-11-2026)",
        "bertempat di Jakarta Selatan",
        "Nama : Satria Contoh NIP : 196412311990031099 Jabatan : Direktur",
        "Nama : Oe",
        "EMP-0012 Jabatan : Kepala Dinas",
        f"nomor {letter} tanggal 1 November 2026",
        f"{number} R {pcid_seal(pcid.upper())}",
    ):
        assert said in text, said
    assert pcid.upper() not in text
    assert made["place"] == "Jakarta Selatan"
    assert [(one["side"], one["name"], one["position"]) for one in made["signatories"]] == [
        ("issuer", "Satria Contoh", "Direktur"),
        ("receiver", "Oe", "Kepala Dinas"),
    ]
    assert made["paper"] == {"sha256": hashlib.sha256(given).hexdigest(), "size": len(given), "template": "bast/4"}
    entries = done(world.client("auditor1").get("/audit"))["items"]
    assert made["paper"]["sha256"] in str([entry for entry in entries if entry["action"] == "handover.issue"])
    world.configure(public_url="https://sifilma.elsewhere.go.id", env="training")  # a paper made now would look otherwise
    assert Visitor(world, "operator1").get(f"/bast/{made['id']}/dokumen").get_data() == given
    with pytest.raises(Exception, match="issued_paper: what was recorded does not change"):
        world.sql("UPDATE issued_paper SET template = 'bast/4'")


def test_each_issuer_has_numbers_of_its_own(world: World) -> None:
    _, _, uid = batch(world)
    first = done(issue(world, [uid], to="softorb.kepala"), 201)
    done(world.client("softorb.kepala").post(f"/handovers/{first['id']}/receive"))
    second = done(issue(world, [uid], "softorb.kepala", "mandiri.kepala"), 201)
    third = done(issue(world, world.personalised()), 201)
    assert [one["number"] for one in (first, second, third)] == [
        "400.8/0001/BAST-SAM/XI/2026", "0001/BAST-SAM/STI/XI/2026", "400.8/0002/BAST-SAM/XI/2026",
    ]  # fmt: skip


def test_a_sign_that_no_font_has_is_refused_by_name_at_its_field_before_anything_is_issued(world: World) -> None:
    uids = world.personalised()
    refused = issue(world, uids, notes="untuk \u65e5\u672c", receiver_signatory=TAKER | {"position": "Kepala \U0001f600"})
    assert refused.status_code == 422
    assert {(error["field"], error["message"].partition(" has ")[2]) for error in refused.json["errors"]} == {
        ("notes", "\u65e5 (U+65E5), \u672c (U+672C). Write it in another way."),
        ("receiver_signatory.position", "\U0001f600 (U+1F600). Write it in another way."),
    }
    assert world.sql("SELECT COUNT(*) FROM issued_paper") == world.sql("SELECT COUNT(*) FROM handover") == [(0,)]
    assert done(issue(world, uids, notes="\u1b05\u1b13\u1b38\u1b2d"), 201)["number"].startswith(
        "400.8/0001/"
    )  # Balinese: the number came back


def test_the_form_suggests_who_signed_last_and_keeps_what_was_typed(sqlite_world: World) -> None:
    operator, to = Visitor(sqlite_world, "operator1"), str(sqlite_world.organisation_of("magetan.kepala"))
    first, second = sqlite_world.personalised(count=2)
    page = operator.get("/bast/buat", to=to)
    assert value_of(page, "place") == "Jakarta"
    assert value_of(page, "issuer_signatory.name") == "Candra Contoh"
    assert (value_of(page, "receiver_signatory.name"), value_of(page, "receiver_signatory.position")) == ("Indah Contoh", "Kepala")
    typed = {"to": to, "cards": [first], "place": "Surabaya"}
    typed |= {f"receiver_signatory.{name}": value for name, value in TAKER.items()}
    typed |= {f"issuer_signatory.{name}": value for name, value in GIVER.items()}
    wrong = operator.send("/bast/buat", **typed | {"issuer_signatory.id_number": "123"})
    assert "NIP terdiri atas 18" in words(wrong, 422) or "18 angka" in words(wrong, 422)
    assert (value_of(wrong, "place"), value_of(wrong, "receiver_signatory.name")) == ("Surabaya", "Oe")
    shown = operator.text(goes_to(operator.send("/bast/buat", **typed)))
    assert "Oe \u00b7 Kepala Dinas" in shown
    assert GIVER["id_number"] not in shown
    again = operator.get("/bast/buat", to=to)
    assert second in again.get_data(as_text=True)
    assert (value_of(again, "issuer_signatory.name"), value_of(again, "receiver_signatory.name")) == ("Satria Contoh", "Oe")


def test_the_worker_makes_the_paper_of_many_cards(sqlite_world: World, tmp_path: Path) -> None:
    uids = sqlite_world.personalised("bangli.kepala", "R", bast.MOST_AT_ONCE + 1)
    made = done(issue(sqlite_world, uids, to="bangli.kepala"), 201)
    path = f"/handovers/{made['id']}"
    waiting = sqlite_world.client("bangli.kepala").get(f"{path}/document")
    assert (made["paper"], waiting.status_code) == (None, 503)
    with sqlite_world.app.app_context():
        held = resources()
        assert [tasks.store_papers(command_context, held.settings, held.files) for _ in range(2)] == [1, 0]
    given = sqlite_world.client("bangli.kepala").get(f"{path}/document").get_data()
    assert done(sqlite_world.client("operator1").get(path))["paper"]["sha256"] == hashlib.sha256(given).hexdigest()
    assert f"{bast.MOST_AT_ONCE + 1} (lima ratus satu) keping" in text_of(given, tmp_path)
    assert [row[0] for row in sqlite_world.sql("SELECT action FROM audit_entry WHERE action LIKE 'paper%'")] == ["paper.store"]


def test_a_paper_that_cannot_be_made_keeps_no_other_waiting_and_a_round_has_an_end(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bast, "MOST_AT_ONCE", 1)
    first, second = [done(issue(sqlite_world, sqlite_world.personalised(count=2)), 201)["id"] for _ in range(2)]
    make = bast.make

    def fails(ctx: Context, settings: Settings, stated: Stated) -> issued_papers.Made:
        if str(stated.handover.id) == first:
            raise Unavailable("The paper cannot be made right now.", type="paper-not-made")
        return make(ctx, settings, stated)

    def stored() -> int:
        with sqlite_world.app.app_context():
            held = resources()
            return tasks.store_papers(command_context, held.settings, held.files)

    with monkeypatch.context() as patched:
        patched.setattr(issued_papers, "MOST_SECONDS", 0.0)
        assert stored() == 0
    with monkeypatch.context() as patched:
        patched.setattr(bast, "make", fails)
        with pytest.raises(Unavailable):
            stored()
    named = [done(sqlite_world.client("operator1").get(f"/handovers/{one}"))["paper"] for one in (first, second)]
    assert (named[0], named[1] is not None) == (None, True)
    assert [stored(), stored()] == [1, 0]


def test_several_basts_are_printed_as_one_file_that_is_no_paper(sqlite_world: World, tmp_path: Path) -> None:
    world = sqlite_world
    made = [done(issue(world, world.personalised()), 201) for _ in range(2)]
    other = done(issue(world, world.personalised("bangli.kepala", "R"), to="bangli.kepala"), 201)
    stored = [world.client("magetan.kepala").get(f"/handovers/{one['id']}/document").get_data() for one in made]
    office = Visitor(world, "magetan.kepala")
    assert [f'name="pilih" value="{one["id"]}"' in office.get("/bast").get_data(as_text=True) for one in [*made, other]] == [
        True,
        True,
        False,
    ]
    printed = office.get("/bast/cetak", pilih=[one["id"] for one in made]).get_data()
    with Pdf.open(io.BytesIO(printed)) as whole:
        assert len(whole.pages) == sum(len(Pdf.open(io.BytesIO(paper)).pages) for paper in stored)
        assert "Bukan dokumen" in str(whole.docinfo["/Subject"])
    text = text_of(printed, tmp_path)
    assert text.index(made[0]["number"]) < text.index(made[1]["number"])
    assert [world.client("magetan.kepala").get(f"/handovers/{one['id']}/document").get_data() for one in made] == stored
    office_api = world.client("magetan.kepala")
    assert office_api.post("/handovers/print", {"handovers": [made[1]["id"]]}).get_data().startswith(b"%PDF-")
    assert office_api.post("/handovers/print", {"handovers": [made[0]["id"], other["id"]]}).status_code == 404
    assert office.get("/bast/cetak").status_code == 422
