"""Receipts that differ from their BAST: what came, what is missing, what came damaged, and what becomes of the missing cards."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.documents.files import text_of
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.world import World, done, new_uid

OFFICE = "magetan.kepala"


def sent(world: World, count: int = 3) -> tuple[list[str], Any]:
    """Hand over cards to an office; return their UIDs and the BAST."""
    uids = world.personalised(count=count)
    body = {"to": str(world.organisation_of(OFFICE)), "cards": uids}
    return uids, done(world.client("operator1").post("/handovers", body), 201)


def short(world: World, uids: list[str], bast: Any, **more: Any) -> Any:
    """Receive all but the last card."""
    body = {"missing": [{"sam_uid": uids[-1], "note": "tidak ada di dalam kotak"}]} | more
    return done(world.client(OFFICE).post(f"/handovers/{bast['id']}/receive", body))


def card(world: World, uid: str) -> tuple[str, str]:
    """Return a card's state and whose it is."""
    found = done(world.client("operator1").get(f"/cards/{uid}"))
    return found["state"], "office" if found["holder_id"] == str(world.organisation_of(OFFICE)) else "directorate"


def test_what_came_is_received_what_is_missing_stays_with_the_issuer_and_what_is_damaged_is_the_receivers(world: World) -> None:
    uids, bast = sent(world)
    damaged = [{"sam_uid": uids[1], "note": "chip retak"}]
    made = short(world, uids, bast, received=[uids[0]], damaged=damaged, note="segel kotak utuh")
    assert [card(world, uid) for uid in uids] == [("received", "office"), ("damaged", "office"), ("handed_over", "directorate")]
    assert made["state"] == "partly_received"
    told = made["discrepancy"]
    assert [(one["sam_uid"], one["state"], one["note"]) for one in told["cards"]] == [
        (uids[2], "missing", "tidak ada di dalam kotak"),
        (uids[1], "damaged", "chip retak"),
    ]
    assert told["number"] == "400.8/0001/BA-SELISIH-SAM/35.20/XI/2026"
    assert sorted(told["links"]) == ["arrived", "document"]
    assert sorted(done(world.client("operator1").get(f"/handovers/{bast['id']}"))["discrepancy"]["links"]) == [
        "document", "found", "lost", "send-again",
    ]  # fmt: skip
    again = world.client(OFFICE).post(f"/handovers/{bast['id']}/receive", {})
    assert (again.status_code, again.json["state"]) == (409, "partly_received")
    with pytest.raises(Exception, match="not for a card that did not come"):
        world.sql("UPDATE card SET holder_id = (SELECT receiver_id FROM handover) WHERE uid = :uid", uid=uids[2])


def test_a_receipt_names_each_card_of_its_bast_once_and_a_wrong_list_changes_nothing(world: World) -> None:
    uids, bast = sent(world)
    other = new_uid()
    body = {
        "received": [uids[0], uids[0]],
        "missing": [{"sam_uid": uids[0], "note": "hilang"}],
        "damaged": [{"sam_uid": other, "note": "retak"}],
    }
    refused = world.client(OFFICE).post(f"/handovers/{bast['id']}/receive", body)
    assert refused.status_code == 422
    assert [(error["field"], error.get("item")) for error in refused.json["errors"]] == [
        ("received", 2), ("missing", 1), ("damaged", 1), ("received", None), ("received", None),
    ]  # fmt: skip
    assert card(world, uids[0]) == ("handed_over", "directorate")
    assert world.sql("SELECT COUNT(*) FROM discrepancy") == [(0,)]
    assert world.client("operator1").post(f"/handovers/{bast['id']}/receive", {}).status_code == 403
    assert done(world.client(OFFICE).post(f"/handovers/{bast['id']}/receive"))["discrepancy"] is None


def test_a_missing_card_is_found_sent_again_arrives_or_is_declared_lost_with_the_report_to_the_police(world: World) -> None:
    uids, bast = sent(world, 4)
    path, operator, office = f"/handovers/{bast['id']}", world.client("operator1"), world.client(OFFICE)
    done(office.post(f"{path}/receive", {"missing": [{"sam_uid": uid, "note": "tidak ada"} for uid in uids]}))
    assert office.post(f"{path}/found", {"cards": uids[:1]}).status_code == 403
    assert operator.post(f"{path}/arrived", {"cards": uids[:1]}).status_code == 403
    assert operator.post(f"{path}/lost", {"cards": uids[3:]}).status_code == 422
    lost = operator.post("/cards/" + uids[3] + "/reports", {"condition": "lost", "note": "tidak ada"})
    assert (lost.status_code, lost.json["type"].rpartition(":")[2]) == (409, "on-its-way")
    done(operator.post(f"{path}/found", {"cards": [uids[0]], "note": "ada di gudang"}))
    again = done(operator.post(f"{path}/send-again", {"cards": [uids[1]]}), 201)
    done(office.post(f"{path}/arrived", {"cards": [uids[2]], "note": "datang dengan kurir kedua"}))
    told = done(operator.post(f"{path}/lost", {"cards": [uids[3]], "police_report": "LP/B/123/XI/2026"}))["discrepancy"]
    assert [(one["state"], one["police_report"]) for one in told["cards"]] == [
        ("found", ""), ("sent_again", ""), ("arrived", ""), ("lost", "LP/B/123/XI/2026"),
    ]  # fmt: skip
    assert [card(world, uid)[0] for uid in uids] == ["personalised", "handed_over", "received", "lost"]
    assert (again["state"], again["cards"], bast["number"] in again["notes"]) == ("issued", [uids[1]], True)
    assert told["links"].keys() == {"document"}
    nothing = operator.post(f"{path}/found", {"cards": [uids[0]]})
    assert (nothing.status_code, nothing.json["type"].rpartition(":")[2]) == (409, "nothing-missing")
    done(operator.post(f"/cards/{uids[3]}/reports", {"condition": "found", "note": "kotak kembali"}))
    assert card(world, uids[3]) == ("personalised", "directorate")
    acts = [row[0] for row in world.sql("SELECT action FROM audit_entry WHERE action LIKE 'discrepancy.%' ORDER BY id")]
    assert acts == [f"discrepancy.{name}" for name in ("record", "found", "send_again", "arrived", "lost")]


def test_whoever_reports_a_missing_card_as_broken_has_found_it(sqlite_world: World) -> None:
    world = sqlite_world
    uids, bast = sent(world)
    short(world, uids, bast)
    done(world.client("operator1").post(f"/cards/{uids[2]}/reports", {"condition": "damaged", "note": "patah"}))
    assert done(world.client(OFFICE).get(f"/handovers/{bast['id']}"))["discrepancy"]["cards"][0]["state"] == "found"
    done(world.client("operator1").post("/destructions", {"cards": [uids[2]], "cause": "damaged"}), 201)


def test_the_paper_states_the_difference_is_stored_as_issued_and_verified(world: World, tmp_path: Path) -> None:
    uids, bast = sent(world)
    told = short(world, uids, bast, damaged=[{"sam_uid": uids[1], "note": "chip retak"}], note="segel utuh")["discrepancy"]
    given = world.client("operator1").get(f"/handovers/{bast['id']}/discrepancy").get_data()
    text = text_of(given, tmp_path)
    pairs = " ".join(uids[2][i : i + 2] for i in range(0, 16, 2))
    for said in (
        "BERITA ACARA SELISIH PENERIMAAN KARTU SAM", f"Nomor: {told['number']}", f"nomor {bast['number']} tanggal 23 November 2026",
        "dari 3 (tiga) keping", "keadaan baik 1 (satu) keping", "keadaan rusak 1 (satu) keping", "tidak diterima 1 (satu) keping",
        "tidak diterima tidak ada di dalam kotak", "Indah Contoh", "Candra Contoh", "Catatan: segel utuh", pairs, told["digest"],
    ):  # fmt: skip
        assert said in text, said
    assert told["paper"] == {"sha256": hashlib.sha256(given).hexdigest(), "size": len(given), "template": "berita_acara_selisih/4"}
    world.configure(public_url="https://sifilma.elsewhere.go.id")
    assert world.client(OFFICE).get(f"/handovers/{bast['id']}/discrepancy").get_data() == given
    shown = world.anonymous().open("GET", f"/verifikasi?selisih={bast['id']}&sha256={told['digest']}").get_data(as_text=True)
    assert told["number"] in shown
    assert world.client("bangli.kepala").get(f"/handovers/{bast['id']}/discrepancy").status_code == 404
    refused = sent(world)
    body = {"missing": [{"sam_uid": refused[0][0], "note": "kotak \U0001f600"}]}
    wrong = world.client(OFFICE).post(f"/handovers/{refused[1]['id']}/receive", body)
    assert (wrong.status_code, wrong.json["errors"][0]["field"]) == (422, "missing")
    assert card(world, refused[0][0])[0] == "handed_over"


def test_fifty_receipts_at_once_lead_to_one_and_to_one_paper(world: World) -> None:
    uids, bast = sent(world)
    client = world.client(OFFICE)
    bodies = [{"missing": [{"sam_uid": uids[n % 3], "note": "tidak ada"}]} if n % 2 else {} for n in range(50)]
    answers = run_simultaneously([partial(client.post, f"/handovers/{bast['id']}/receive", body) for body in bodies])
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    [(state,)] = world.sql("SELECT state FROM handover")
    papers = world.sql("SELECT COUNT(*) FROM issued_paper WHERE object_kind = 'discrepancy'")[0][0]
    assert (papers, world.sql("SELECT COUNT(*) FROM discrepancy")[0][0]) == ((1, 1) if state == "partly_received" else (0, 0))
    assert world.sql("SELECT COUNT(*) FROM history WHERE object_kind = 'handover'") == [(2,)]


def told(world: World, who: str) -> list[tuple[str, str]]:
    """Return task and title of each notice of a person, the newest first."""
    return [(one["task"], one["title"]) for one in done(world.client(who).get("/notices"))["items"]]


def test_the_issuer_is_told_of_a_short_receipt_and_the_receiver_of_what_became_of_the_cards(sqlite_world: World) -> None:
    world = sqlite_world
    uids, bast = sent(world)
    short(world, uids, bast)
    number = bast["number"]
    assert ("handover_recorded", number) in told(world, "operator1")  # who issued it, and nobody else
    assert ("handover_recorded", number) not in told(world, "operator2") + told(world, OFFICE)
    done(world.client("operator1").post(f"/handovers/{bast['id']}/lost", {"cards": uids[2:], "police_report": "LP/B/9/XI/2026"}))
    assert ("handover_lost", number) in told(world, OFFICE)
    assert ("handover_lost", number) not in told(world, "operator1")
