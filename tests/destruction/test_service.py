"""Destruction: from a locked card to its Berita Acara."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

from sifilma.demo.sample_files import photo
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
