"""The pages for cards: search by part of a number, the whole life of a card, reports."""

from __future__ import annotations

import pytest

from sifilma.documents.indonesian import uid_pairs
from sifilma.kernel.db import db
from tests.support.counting import counted
from tests.support.visitor import Visitor, english, goes_to, landed, words
from tests.support.world import World, done


def test_cards_are_found_by_part_of_a_printed_number(world: World) -> None:
    ready, _ = world.active()
    uid, number = ready.uids[0], ready.hardware[ready.uids[0]]
    other = world.received("bangli.kepala", "R")[0]
    page = Visitor(world, "operator1")
    for text in (uid_pairs(uid)[3:20].lower(), number[2:], uid[4:12]):
        found = page.text("/kartu", text=text)
        assert uid_pairs(uid) in found
        assert (uid_pairs(other) in found) is (text == uid[4:12] and other[4:12] == uid[4:12])
    assert uid_pairs(other) in page.text("/kartu", holder="bangli")
    assert uid_pairs(uid) not in page.text("/kartu", holder="bangli")
    assert uid_pairs(uid) not in page.text("/kartu", state="received")
    assert "Tidak ada yang cocok dengan saringan ini." in page.text("/kartu", text="FFFFFFFFFF")
    assert uid_pairs(uid) not in page.text("/kartu", text="%")  # a wildcard is searched literally, and no number contains it


def test_the_export_holds_what_the_filter_shows_and_nothing_of_others(sqlite_world: World) -> None:
    mine, theirs = sqlite_world.received(count=2), sqlite_world.received("bangli.kepala")
    page = Visitor(sqlite_world, "magetan.staf")
    text = page.get("/kartu", unduh="csv").get_data(as_text=True)
    assert all(uid in text for uid in mine)
    assert theirs[0] not in text
    assert page.get("/kartu", unduh="csv", state="active").get_data(as_text=True).count("\n") == 1  # the file has only its header


def test_the_page_of_a_card_shows_its_manifest_and_its_whole_life(world: World) -> None:
    ready, _ = world.active()
    uid = ready.uids[0]
    found = Visitor(world, "magetan.staf").text(f"/kartu/{uid}")
    there = ("Nomor 1", "Kabupaten Magetan, Jawa Timur", "BAST-SAM", "Permohonan aktivasi", "Dipersonalisasi", "Indah Contoh")
    for said in (*there, ready.hardware[uid]):
        assert said in found, said
    assert Visitor(world, "magetan.staf").text(f"/kartu/{uid[:4]}%20{uid[4:].lower()}")  # the UID in the form in which it is copied
    assert Visitor(world, "bangli.kepala").get(f"/kartu/{uid}").status_code == 404
    assert Visitor(world, "magetan.staf").get("/kartu/zz").status_code == 404
    maker = Visitor(world, "len.kepala").text(f"/kartu/{uid}")
    assert "Manifest dan lokasi" not in maker  # a manufacturer sees no manifest


@pytest.mark.parametrize(("condition", "state", "fallen"), [("locked", "Terkunci", True), ("lost", "Hilang", True)])
def test_a_report_revokes_the_manifest_and_the_form_says_so_before(world: World, condition: str, state: str, fallen: bool) -> None:
    ready, _ = world.active()
    uid, page = ready.uids[0], Visitor(world, "magetan.kepala")
    assert "Manifest dicabut saat itu juga" in page.text(f"/kartu/{uid}")
    wrong = page.send(f"/kartu/{uid}/lapor", condition=condition, note="")
    assert "1 hal harus diperbaiki" in words(wrong, 422)
    assert f'value="{condition}" required checked' in wrong.get_data(as_text=True)
    assert landed(page.send(f"/kartu/{uid}/lapor", condition=condition, note="tertukar di gudang")).startswith(f"/kartu/{uid}?")
    found = page.text(f"/kartu/{uid}")
    assert state in found
    assert ("Dicabut" in found) is fallen
    assert "tertukar di gudang" in found


def test_only_reports_that_the_state_allows_are_offered(sqlite_world: World) -> None:
    uid = sqlite_world.received()[0]
    page = Visitor(sqlite_world, "magetan.kepala")
    assert 'value="found"' not in page.get(f"/kartu/{uid}").get_data(as_text=True)
    landed(page.send(f"/kartu/{uid}/lapor", condition="lost", note="tidak ada di laci"))
    body = page.get(f"/kartu/{uid}").get_data(as_text=True)
    assert 'value="found"' in body
    assert 'value="lost"' not in body
    landed(page.send(f"/kartu/{uid}/lapor", condition="damaged", note="ditemukan patah"))
    body = page.get(f"/kartu/{uid}").get_data(as_text=True)
    assert 'name="condition"' not in body
    assert "/pemusnahan/usul?lot=" in body
    assert words(page.send(f"/kartu/{uid}/lapor", condition="found", note="ternyata ada"), 409)


def test_only_the_holder_and_the_operator_report(sqlite_world: World) -> None:
    uid = sqlite_world.received()[0]
    for name in ("jatim.kepala", "penyetuju1", "auditor1"):
        page = Visitor(sqlite_world, name)
        assert 'name="condition"' not in page.get(f"/kartu/{uid}").get_data(as_text=True)
        assert page.send(f"/kartu/{uid}/lapor", condition="lost", note="bukan saya").status_code in (403, 404)
    assert 'name="condition"' in Visitor(sqlite_world, "operator1").get(f"/kartu/{uid}").get_data(as_text=True)


def test_the_list_and_the_page_of_a_card_need_few_statements(sqlite_world: World) -> None:
    uids = sqlite_world.received(count=3)
    ready, _ = sqlite_world.active()
    page = Visitor(sqlite_world, "magetan.kepala")
    with sqlite_world.app.app_context():
        engine = db.engine
    for path, most in (
        ("/kartu", 8),
        (f"/kartu/{uids[0]}", 22),
        (f"/kartu/{ready.uids[0]}", 24),
    ):  # in use: misplaced, issued anew
        with counted(engine) as found:
            page.text(path)
        assert len(found.statements) <= most, (path, len(found.statements), found.statements)


def test_a_destroyed_card_offers_no_step(sqlite_world: World) -> None:
    uid = sqlite_world.received()[0]
    done(sqlite_world.client("magetan.kepala").post(f"/cards/{uid}/reports", {"condition": "damaged", "note": "retak"}))
    made = done(sqlite_world.client("magetan.kepala").post("/destructions", {"cards": [uid], "cause": "damaged"}), 201)
    body = Visitor(sqlite_world, "magetan.kepala").get(f"/kartu/{uid}").get_data(as_text=True)
    assert f"/pemusnahan/{made['id']}" in body
    assert "/pemusnahan/usul?lot=" not in body  # the card is already proposed


def test_cards_are_found_by_letter_number(world: World) -> None:
    uid, other = world.received()[0], world.received("bangli.kepala", "R")[0]
    asked = world.requested("magetan.kepala", [uid])
    [(first,)] = world.sql(
        "SELECT r.letter_number FROM personalisation_request r JOIN card c ON c.personalisation_request_id = r.id WHERE c.uid = :uid",
        uid=uid,
    )
    for letter in (asked["letter_number"][4:], f" {first.lower()} "):
        for who in ("operator1", "magetan.staf"):
            found = words(Visitor(world, who).get("/kartu", text=letter, holder="magetan"))
            assert uid_pairs(uid) in found
            assert uid_pairs(other) not in found
    assert uid_pairs(uid) not in words(Visitor(world, "len.kepala").get("/kartu", text=asked["letter_number"]))


def test_a_province_proposes_to_revoke_the_manifest_of_a_card_in_its_regencies(world: World) -> None:
    ready, answers = world.active()
    path = f"/kartu/{ready.uids[0]}"
    province = english(world, "jatim.kepala")
    found = province.text(path)
    assert "Take the manifest back" in found
    assert "Manifests and places" not in found  # nor does the page say that there is no manifest
    assert province.get(f"/manifest/{answers[0]['manifest']['id']}").status_code == 404
    assert words(province.send(f"{path}/usul-cabut", reason=""), 422)
    assert landed(province.send(f"{path}/usul-cabut", reason="mesin dicuri")) == f"{path}?selesai=proposed"
    assert "an approver decides" in province.text(path)
    assert province.send(f"{path}/usul-cabut", reason="sekali lagi").status_code == 409
    for name, status in (("magetan.kepala", 403), ("auditor1", 403), ("penyetuju1", 403)):
        assert english(world, name).send(f"{path}/usul-cabut", reason="mesin dicuri").status_code == status, name
    decided = english(world, "penyetuju1").send(f"/manifest/{answers[0]['manifest']['id']}/putusan", decision="execute", reason="")
    assert landed(decided).endswith("selesai=withdrawn")
    assert world.sql("SELECT state FROM card WHERE uid = :uid", uid=ready.uids[0]) == [("received",)]


def test_a_province_proposes_nothing_outside_its_regencies(sqlite_world: World) -> None:
    ready, _ = sqlite_world.active("bangli.kepala", "R")
    assert english(sqlite_world, "jatim.kepala").send(f"/kartu/{ready.uids[0]}/usul-cabut", reason="mesin dicuri").status_code == 404


def test_a_broken_card_is_reported_and_proposed_for_destruction_in_one_act(world: World) -> None:
    uid, office = world.received()[0], Visitor(world, "magetan.kepala")
    path, told = f"/kartu/{uid}/lapor", {"note": "PIN salah berulang kali", "lalu": "usulkan"}
    assert "rusak atau terkunci" in words(office.send(path, condition="lost", **told), 422)
    assert done(world.client("magetan.kepala").get(f"/cards/{uid}"))["state"] == "received"  # nothing is half done
    proposal = goes_to(office.send(path, condition="locked", **told))
    assert proposal.startswith("/pemusnahan/")
    assert done(world.client("magetan.kepala").get(f"/cards/{uid}"))["state"] == "locked"
    assert world.sql("SELECT state, cause FROM destruction") == [("proposed", "locked")]
