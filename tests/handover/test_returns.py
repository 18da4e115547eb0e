"""Cards that go back to their maker or to the directorate, by a BAST with a reason."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sifilma.handover.discrepancies import views
from tests.documents.files import text_of
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.visitor import Visitor, goes_to
from tests.support.world import World, done, new_uid

OFFICE, MAKER, BANK = "magetan.kepala", "softorb.kepala", "mandiri.kepala"


def back(world: World, who: str, to: str, uids: list[str], reason: str | None = "repair") -> Any:
    body = {"kind": "return", "reason": reason, "to": str(world.organisation_of(to)), "cards": uids}
    return world.client(who).post("/handovers", body)


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["type"].rpartition(":")[2]


def test_a_broken_card_goes_back_to_its_maker_and_keeps_its_state(world: World, tmp_path: Path) -> None:
    uid = world.institution_ready().uids[0]
    busy = back(world, BANK, MAKER, [uid])
    assert busy.status_code == 422  # its activation request is open
    done(world.client(BANK).post(f"/cards/{uid}/reports", {"condition": "damaged", "note": "patah"}))
    request = str(done(world.client(BANK).get("/activation-requests"))["items"][0]["id"])
    done(world.client(BANK).post(f"/activation-requests/{request}/cancel"))
    assert problem(back(world, BANK, "len.kepala", [uid])) == (422, "wrong-receiver")
    made = done(back(world, BANK, MAKER, [uid]), 201)
    assert (made["kind"], made["reason"], made["number"]) == ("return", "repair", "0001/BAST-SAM/BM/XI/2026")
    assert back(world, BANK, "operator1", [uid]).status_code == 422  # it is on its way
    text = text_of(world.client(MAKER).get(f"/handovers/{made['id']}/document").get_data(), tmp_path)
    assert "BERITA ACARA PENGEMBALIAN KARTU SAM" in text
    assert "karena perbaikan atau penggantian: PIHAK PERTAMA mengembalikan dan PIHAK KEDUA menerima 1 (satu) keping" in text
    done(world.client(MAKER).post(f"/handovers/{made['id']}/receive"))
    card = done(world.client(MAKER).get(f"/cards/{uid}"))
    assert (card["state"], card["holder_id"]) == ("damaged", str(world.organisation_of(MAKER)))


def test_the_end_of_an_agreement_revokes_what_comes_back_and_a_repair_lets_it_be_handed_on(world: World) -> None:
    first, second = world.received(OFFICE, "R", 2)
    for uid, reason, state in ((first, "agreement_ended", "revoked"), (second, "repair", "personalised")):
        bast = done(back(world, OFFICE, "operator1", [uid], reason), 201)["id"]
        done(world.client("operator1").post(f"/handovers/{bast}/receive"))
        assert done(world.client("operator1").get(f"/cards/{uid}"))["state"] == state
    body = {"to": str(world.organisation_of(OFFICE)), "cards": [second]}
    done(world.client(OFFICE).post(f"/handovers/{done(world.client('operator1').post('/handovers', body), 201)['id']}/receive"))


def test_who_only_uses_cards_gives_them_back_and_the_directorate_only_hands_them_out(world: World) -> None:
    uids = world.received(OFFICE, "R")
    delivery = {"to": str(world.organisation_of("bangli.kepala")), "cards": uids}
    assert problem(world.client(OFFICE).post("/handovers", delivery)) == (403, "returns-only")
    assert problem(back(world, "operator1", MAKER, world.personalised())) == (403, "delivers-only")
    assert [error["field"] for error in back(world, OFFICE, "operator1", uids, None).json["errors"]] == ["reason"]
    active = world.active(OFFICE, "R")[0].uids
    assert back(world, OFFICE, "operator1", active).status_code == 422
    with pytest.raises(Exception, match="handover: what was recorded does not change"):
        world.sql("UPDATE handover SET kind = 'return', reason = 'repair'")


def test_fifty_returns_of_one_broken_card_at_once_lead_to_one(world: World) -> None:
    [uid] = world.received(OFFICE, "R")
    done(world.client(OFFICE).post(f"/cards/{uid}/reports", {"condition": "damaged", "note": "patah"}))
    client = world.client(OFFICE)
    body = {"kind": "return", "reason": "repair", "to": str(world.organisation_of("operator1")), "cards": [uid]}
    answers = run_simultaneously([partial(client.post, "/handovers", body)] * 50)
    assert sorted(answer.status_code for answer in answers)[:2] in ([201, 409], [201, 422])
    assert world.sql("SELECT COUNT(*) FROM handover WHERE kind = 'return'") == [(1,)]


def test_the_pages_lead_a_card_back_and_a_short_bast_to_its_end(sqlite_world: World) -> None:
    world, office, operator = sqlite_world, Visitor(sqlite_world, OFFICE), Visitor(sqlite_world, "operator1")
    uids = world.personalised(OFFICE, "R", 3)
    bast = goes_to(operator.send("/bast/buat", to=str(world.organisation_of(OFFICE)), cards=uids))
    asked = office.send(f"{bast}/selisih", cards=uids[:1]).get_data(as_text=True)
    assert [f'name="what.{uid}"' in asked for uid in uids] == [False, True, True]
    assert done(world.client(OFFICE).get(f"/handovers/{bast.rpartition('/')[2]}"))["state"] == "issued"
    stated = {f"what.{uids[1]}": "damaged", f"seen.{uids[1]}": "retak", f"what.{uids[2]}": "missing"}
    wrong = office.send(f"{bast}/selisih", cards=uids[:1], **stated)
    assert wrong.status_code == 422
    assert f'name="seen.{uids[1]}" value="retak"' in wrong.get_data(as_text=True).replace('id="f-seen.' + uids[1] + '" ', "")
    assert goes_to(office.send(f"{bast}/selisih", cards=uids[:1], **stated, **{f"seen.{uids[2]}": "tidak ada"})) == bast
    assert office.get(f"{bast}/selisih/dokumen").get_data().startswith(b"%PDF-")
    assert "Declare lost" in Visitor(world, "operator1").text(bast) or "Nyatakan hilang" in operator.text(bast)
    assert operator.send(f"{bast}/hilang", cards=uids[2:]).status_code == 422
    assert goes_to(operator.send(f"{bast}/ditemukan", cards=uids[2:], note="di gudang")) == bast
    page = office.get("/bast/kembalikan", to=str(world.organisation_of("operator1")), cards=uids[1]).get_data(as_text=True)
    assert f'value="{uids[1]}" checked' in page
    to = {"to": str(world.organisation_of("operator1")), "reason": "repair", "place": "Magetan"}
    given = goes_to(office.send("/bast/kembalikan", cards=uids[:2], **to))
    goes_to(operator.send(f"{given}/terima"))
    assert [done(world.client("operator1").get(f"/cards/{uid}"))["state"] for uid in uids] == ["personalised", "damaged", "personalised"]


def test_of_a_long_bast_those_are_named_that_did_not_come(sqlite_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world, office = sqlite_world, Visitor(sqlite_world, OFFICE)
    uids, strange = world.personalised(OFFICE, "R", 3), new_uid()
    bast = goes_to(Visitor(world, "operator1").send("/bast/buat", to=str(world.organisation_of(OFFICE)), cards=uids))
    monkeypatch.setattr(views, "MOST_TICKED", 2)
    assert not [uid for uid in uids if uid in office.get(f"{bast}/selisih").get_data(as_text=True)]
    assert "e-others" in office.send(f"{bast}/selisih", others="").get_data(as_text=True)
    assert strange in office.send(f"{bast}/selisih", others=f"{uids[0]}\n{strange}").get_data(as_text=True)
    asked = office.send(f"{bast}/selisih", others=uids[2].lower()).get_data(as_text=True)
    assert [f'name="what.{uid}"' in asked for uid in uids] == [False, False, True]
    stated = {"others": uids[2], f"what.{uids[2]}": "missing", f"seen.{uids[2]}": "tidak ada"}
    assert goes_to(office.send(f"{bast}/selisih", **stated)) == bast
    assert [done(world.client(OFFICE).get(f"/cards/{uid}"))["state"] for uid in uids[:2]] == ["received", "received"]
