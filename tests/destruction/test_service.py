"""Destruction: from a locked card to its Berita Acara."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sifilma.demo.sample_files import photo
from tests.documents.files import text_of
from tests.support import programs
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.world import World, done

WITNESSES = [
    {"name": "Satria Contoh", "id_kind": "nip", "id_number": "198512122010031013", "office": "Inspektorat", "position": "Auditor"},
    {"name": "Tari Contoh", "id_kind": "nrp", "id_number": "81020304", "office": "Polres Magetan", "position": "Perwira"},
]
OFFICIAL = {"name": "Indah Contoh", "id_kind": "nip", "id_number": "197609092001032009", "position": "Kepala Dinas"}


def locked(world: World) -> str:
    uid = world.received()[0]
    done(world.client("magetan.kepala").post(f"/cards/{uid}/reports", {"condition": "locked", "note": "terkunci"}))
    return uid


def record(world: World, **more: Any) -> dict[str, Any]:
    moment = world.clock.now().isoformat()
    base = {"place": "Kantor", "executed_at": moment, "method": "dipotong", "official": OFFICIAL, "witnesses": WITNESSES}
    return base | more


def approved(world: World, uid: str) -> str:
    made = done(world.client("magetan.kepala").post("/destructions", {"cards": [uid], "cause": "locked", "note": "rusak"}), 201)
    world.approve("destructions", made["id"], "penyetuju1")
    return str(made["id"])


def test_a_card_is_destroyed_only_with_a_complete_berita_acara(world: World, tmp_path: Path) -> None:
    uid = locked(world)
    found = approved(world, uid)
    client, path = world.client("magetan.kepala"), f"/destructions/{found}/record"
    picture = photo()[:2]
    twice = [WITNESSES[0], WITNESSES[0]]
    future = world.clock.now().replace(year=2030).isoformat()
    for wrong in ({"witnesses": twice}, {"executed_at": future}, {"executed_at": "2020-01-01T00:00:00Z"}, {"witnesses": WITNESSES[:1]}):
        assert client.send(path, record(world, **wrong), part="record", photos=[picture]).status_code == 422, wrong
    assert client.send(path, record(world), part="record").status_code == 422  # the photo is missing
    assert client.send(path, record(world), part="record", photos=[("foto.png", b"no picture")]).status_code == 422
    nik = OFFICIAL | {"id_kind": "employee", "id_number": "3520010101900001"}
    assert client.send(path, record(world, official=nik), part="record", photos=[picture]).status_code == 422
    assert done(client.get(f"/cards/{uid}"))["state"] == "locked"
    made = done(client.send(path, record(world), part="record", photos=[picture]))
    assert (made["state"], made["number"]) == ("executed", "400.8/0001/BA-PEMUSNAHAN/XI/2026")
    assert done(client.get(f"/cards/{uid}"))["state"] == "destroyed"
    assert "198512122010031013" not in str(made)  # id numbers of people are only in the PDF
    pdf = client.get(f"/destructions/{found}/document").get_data()
    (tmp_path / "ba.pdf").write_bytes(pdf)
    text = subprocess.run([programs.program("pdftotext"), str(tmp_path / "ba.pdf"), "-"], check=True, capture_output=True, text=True).stdout
    assert "Satria Contoh" in text
    assert "NRP 81020304" in text
    assert done(world.client("operator2").post(f"/destructions/{found}/verify"))["state"] == "verified"


def test_the_proposer_may_neither_approve_nor_verify(world: World) -> None:
    uid = locked(world)
    made = done(world.client("operator1").post("/destructions", {"cards": [uid], "cause": "locked"}), 201)
    assert world.client("operator1").post(f"/destructions/{made['id']}/approve", {"digest": made["digest"]}).status_code == 403
    world.approve("destructions", made["id"], "penyetuju2")
    path, picture = f"/destructions/{made['id']}/record", photo()[:2]
    assert (
        world.client("operator1").send(path, record(world), part="record", photos=[picture]).status_code == 404
    )  # not the holder of the card
    done(world.client("magetan.kepala").send(path, record(world), part="record", photos=[picture]))
    assert world.client("operator1").post(f"/destructions/{made['id']}/verify").status_code == 403  # the person who proposed it
    done(world.client("operator2").post(f"/destructions/{made['id']}/verify"))


def test_an_active_or_already_proposed_card_cannot_be_proposed(world: World) -> None:
    client = world.client("magetan.kepala")
    assert client.post("/destructions", {"cards": world.received(), "cause": "locked"}).status_code == 422
    uid = locked(world)
    first = done(client.post("/destructions", {"cards": [uid], "cause": "locked"}), 201)
    assert client.post("/destructions", {"cards": [uid], "cause": "locked"}).status_code == 422
    assert client.get(f"/destructions/{first['id']}/document").status_code == 409
    done(client.post(f"/destructions/{first['id']}/cancel", {"note": "salah"}))
    done(client.post("/destructions", {"cards": [uid], "cause": "locked"}), 201)


def test_one_of_simultaneous_proposals_of_a_card_succeeds(postgresql_world: World) -> None:
    [uid] = postgresql_world.received()
    done(postgresql_world.client("magetan.kepala").post(f"/cards/{uid}/reports", {"condition": "damaged", "note": "rusak"}))
    body = {"cards": [uid], "cause": "damaged", "note": "Retak"}
    clients = [postgresql_world.client("magetan.kepala") for _ in range(4)]
    answers = run_simultaneously([partial(client.post, "/destructions", body) for client in clients])
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]


def test_a_record_dated_in_the_second_of_its_approval_is_accepted(world: World) -> None:
    world.clock.set(world.clock.now().replace(microsecond=600_000))
    made = approved(world, locked(world))
    stated = record(world, executed_at=world.clock.now().replace(microsecond=0).isoformat())
    shown = done(world.client("magetan.kepala").send(f"/destructions/{made}/record", stated, "record", photos=[("foto.png", photo()[1])]))
    assert shown["state"] == "executed"
    assert world.sql("SELECT COUNT(*) FROM destruction d, destruction_approval a WHERE d.executed_at < a.at")[0][0] == 0


def test_a_card_that_broke_on_its_way_is_proposed_only_when_its_bast_is_answered(world: World) -> None:
    [uid] = world.personalised()
    operator, head = world.client("operator1"), world.client("magetan.kepala")
    bast = done(operator.post("/handovers", {"to": str(world.organisation_of("magetan.kepala")), "cards": [uid]}), 201)["id"]
    done(operator.post(f"/cards/{uid}/reports", {"condition": "locked", "note": "terkunci di jalan"}))
    proposal = {"cards": [uid], "cause": "locked", "note": "terkunci"}
    refused = done(operator.post("/destructions", proposal), 422)
    assert [error["message"] for error in refused["errors"]] == [f"{uid} is on its way: its BAST must be answered first."]
    done(head.post(f"/handovers/{bast}/receive", {}))
    assert done(head.post("/destructions", proposal), 201)["organisation"]


NUMBERS = {
    ("nip", "19641231 199003 1 099"): "196412311990031099",
    ("nrp", "7903 0456"): "79030456",
    ("employee", "EMP 0012"): "EMP0012",
}


@pytest.mark.parametrize(("kind", "typed"), NUMBERS)
def test_numbers_and_names_are_taken_as_invitations_take_them(sqlite_world: World, tmp_path: Path, kind: str, typed: str) -> None:
    made, office = approved(sqlite_world, locked(sqlite_world)), sqlite_world.client("magetan.kepala")
    official = OFFICIAL | {"id_kind": kind, "id_number": typed, "name": "Oe", "position": "Kepala\u200b Dinas"}
    done(office.send(f"/destructions/{made}/record", record(sqlite_world, official=official), part="record", photos=[photo()[:2]]))
    paper = text_of(office.get(f"/destructions/{made}/document").get_data(), tmp_path)
    words = {"nip": "NIP", "nrp": "NRP", "employee": "Nomor pegawai"}[kind]
    assert f"Oe {words} {NUMBERS[kind, typed]} Kepala Dinas" in paper
    assert f"{words} {NUMBERS[kind, typed]}" in paper


def test_a_berita_acara_has_the_letterhead_of_its_office_its_legal_basis_and_a_page_of_photos(world: World, tmp_path: Path) -> None:
    world.configure(legal_basis_destruction="Permendagri 76/2020 Pasal 25 ayat (1)")
    made, office = approved(world, locked(world)), world.client("magetan.kepala")
    done(office.send(f"/destructions/{made}/record", record(world), part="record", photos=[photo()[:2]] * 2))
    file = office.get(f"/destructions/{made}/document").get_data()
    world.configure(legal_basis_destruction="lain")
    assert office.get(f"/destructions/{made}/document").get_data() == file
    text = text_of(file, tmp_path)
    assert "DINAS KEPENDUDUKAN DAN PENCATATAN SIPIL" in text.partition("BERITA ACARA")[0]
    assert "KEMENTERIAN" not in text
    assert "Dasar hukum: Permendagri 76/2020 Pasal 25 ayat (1)." in text
    first, _, second = text.partition("Halaman 1 dari 2")
    assert "Saksi 2," in first
    assert "Foto 2" in second
    assert "Foto 1" not in first
    assert world.sql("SELECT template FROM issued_paper WHERE object_kind = 'destruction'") == [("berita_acara_pemusnahan/4",)]


def test_a_sign_that_no_font_has_is_refused_at_its_field_and_no_card_is_destroyed(world: World) -> None:
    uid = locked(world)
    made, office = approved(world, uid), world.client("magetan.kepala")
    witnesses = [WITNESSES[0], WITNESSES[1] | {"office": "Polres \u65e5"}]
    told = office.send(f"/destructions/{made}/record", record(world, witnesses=witnesses), part="record", photos=[photo()[:2]])
    assert (told.status_code, [error["field"] for error in told.json["errors"]]) == (422, ["witnesses.1.office"])
    assert done(office.get(f"/cards/{uid}"))["state"] == "locked"
    assert world.sql("SELECT number FROM destruction") == [(None,)]
