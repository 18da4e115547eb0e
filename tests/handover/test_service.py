"""Handovers of cards by BAST: issue, receipt, refusal, cancellation."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

from tests.support import programs
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.visitor import one_id
from tests.support.world import World, done


def issue(world: World, uids: list[str], to: str = "magetan.kepala", by: str = "operator1") -> dict[str, object]:
    return {"to": str(world.organisation_of(to)), "cards": uids}


def test_only_the_requester_receives_the_cards_and_becomes_their_holder(world: World) -> None:
    uids = world.personalised(count=2)
    assert world.client("operator1").post("/handovers", issue(world, uids, "bangli.kepala")).json["type"].endswith("wrong-receiver")
    bast = done(world.client("operator1").post("/handovers", issue(world, uids)), 201)
    assert (bast["state"], bast["count"]) == ("issued", 2)
    assert world.client("operator1").post("/handovers", issue(world, uids)).status_code == 422  # the cards are already in an open BAST
    assert world.client("bangli.kepala").post(f"/handovers/{bast['id']}/receive").status_code == 404
    done(world.client("magetan.kepala").post(f"/handovers/{bast['id']}/receive"))
    card = done(world.client("magetan.kepala").get(f"/cards/{uids[0]}"))
    assert (card["state"], card["holder_id"]) == ("received", str(world.organisation_of("magetan.kepala")))
    assert world.client("magetan.kepala").post(f"/handovers/{bast['id']}/receive").status_code == 409


def test_a_refused_or_cancelled_bast_returns_the_cards(world: World) -> None:
    uids = world.personalised()
    for who, verb in (("magetan.kepala", "refuse"), ("operator1", "cancel")):
        bast = done(world.client("operator1").post("/handovers", issue(world, uids)), 201)
        if verb == "refuse":
            assert world.client(who).post(f"/handovers/{bast['id']}/refuse", {"note": ""}).status_code == 422
        done(world.client(who).post(f"/handovers/{bast['id']}/{verb}", {"note": "nomor kartu salah"}))
        assert done(world.client("operator1").get(f"/cards/{uids[0]}"))["state"] == "personalised"


def test_simultaneous_basts_get_unique_numbers_without_gaps(world: World) -> None:
    uids = world.personalised(count=8)
    client = world.client("operator1")
    answers = run_simultaneously([partial(client.post, "/handovers", issue(world, [uid])) for uid in uids])
    numbers = sorted(done(answer, 201)["number"] for answer in answers)
    assert numbers == [f"400.8/{n:04d}/BAST-SAM/XI/2026" for n in range(1, 9)]


def test_the_pdf_names_parties_and_cards(world: World, tmp_path: Path) -> None:
    uids = world.personalised()
    bast = done(world.client("operator1").post("/handovers", issue(world, uids)), 201)
    pdf = world.client("magetan.kepala").get(f"/handovers/{bast['id']}/document")
    assert pdf.content_type == "application/pdf"
    (tmp_path / "bast.pdf").write_bytes(pdf.get_data())
    command = [programs.program("pdftotext"), "-layout", str(tmp_path / "bast.pdf"), "-"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert bast["number"] in text
    assert " ".join(uids[0][i : i + 2] for i in range(0, 16, 2)) in text
    assert bast["digest"][:40] in text.replace("\n", "")


def test_the_pdf_of_a_bast_does_not_change_after_its_cards_were_activated(world: World) -> None:
    ready = world.ready()
    bast = one_id(world, "SELECT id FROM handover")
    paper = f"/handovers/{bast}/document"
    issued = world.client("magetan.kepala").get(paper).get_data()
    done(world.client("magetan.kepala").post("/activations", world.activation(ready, ready.uids[0])), 201)
    assert world.sql("SELECT count(*) FROM card WHERE unit_id IS NOT NULL") == [(1,)]
    assert world.client("magetan.kepala").get(paper).get_data() == issued


def test_a_manufacturer_hands_over_to_the_buyer_only(world: World) -> None:
    ready = world.institution_ready()
    holders = [step["to_state"] for step in done(world.client("auditor1").get(f"/cards/{ready.uids[0]}/history"))["items"]]
    assert holders == ["registered", "personalised", "handed_over", "received", "handed_over", "received"]
    card = done(world.client("mandiri.kepala").get(f"/cards/{ready.uids[0]}"))
    assert card["holder_id"] == str(world.organisation_of("mandiri.kepala"))
