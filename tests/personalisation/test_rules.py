"""Requests that replace cards out of use: by an office, an institution or a manufacturer, without a purchase order."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from sifilma.personalisation import results
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.visitor import Visitor, goes_to
from tests.support.world import World, done, letter, new_uid

PATH = "/personalisation-requests"
BANK, MAKER, OFFICE = "mandiri.kepala", "softorb.kepala", "magetan.kepala"


def broken(world: World) -> str:
    """Return the UID of a bank's card that broke in use."""
    uid = world.institution_ready().uids[0]
    done(world.client(BANK).post(f"/cards/{uid}/reports", {"condition": "damaged", "note": "patah"}))
    return uid


def ask(world: World, who: str, uids: list[str], **more: Any) -> Any:
    stated = world.letter() | {"function": "R", "replaces": uids} | more
    return world.client(who).send(PATH, stated, letter=letter())


def test_an_institution_has_a_broken_card_replaced_without_a_purchase_order(world: World) -> None:
    uid, fresh = broken(world), new_uid()
    made = done(ask(world, BANK, [uid]), 201)
    assert (made["quantity"], made["replaces"], made["purchase_order_number"]) == (1, [uid], "")
    done(world.client(BANK).post(f"{PATH}/{made['id']}/submit"))
    with pytest.raises(Exception, match="what is submitted does not change"):
        world.sql("DELETE FROM personalisation_replaced")
    assert uid in Visitor(world, "penyetuju1").get(f"/personalisasi/{made['id']}").get_data(as_text=True)
    world.approve("personalisation-requests", made["id"], "penyetuju1")
    results = {"results": [{"sam_uid": fresh, "outcome": "personalised"}]}
    done(world.client("operator1").post(f"{PATH}/{made['id']}/results", results))
    bast = {"to": str(world.organisation_of(BANK)), "cards": [fresh]}
    done(world.client(BANK).post(f"/handovers/{done(world.client('operator1').post('/handovers', bast), 201)['id']}/receive"))
    card = done(world.client(BANK).get(f"/cards/{fresh}"))
    assert (card["state"], card["buyer_id"]) == ("received", str(world.organisation_of(BANK)))


def test_only_a_buyers_cards_out_of_use_are_replaced_and_each_once(world: World) -> None:
    uid, whole = broken(world), world.received(OFFICE, "R")[0]
    for who, uids, number in ((OFFICE, [uid], 1), (OFFICE, [whole], 1), (BANK, [uid, uid], 2)):
        refused = ask(world, who, uids)
        assert [(error["field"], error.get("item")) for error in refused.json["errors"]] == [("replaces", number)], uids
    assert [error["field"] for error in ask(world, BANK, [uid], quantity=2).json["errors"]] == ["quantity"]
    answers = run_simultaneously([partial(ask, world, BANK, [uid]) for _ in range(10)])
    codes = sorted(answer.status_code for answer in answers)
    assert (codes[0], set(codes[1:]) <= {409, 422}) == (201, True), codes
    first = next(answer.json for answer in answers if answer.status_code == 201)
    done(world.client(BANK).post(f"{PATH}/{first['id']}/cancel", {"note": "tidak jadi"}))
    again = done(ask(world, MAKER, [uid], on_behalf_of=str(world.organisation_of(BANK))), 201)
    assert (again["buyer"]["id"], again["files"]["batch"]) == (str(world.organisation_of(BANK)), None)


def test_the_form_offers_broken_cards_and_keeps_those_that_were_ticked(sqlite_world: World) -> None:
    world, bank = sqlite_world, Visitor(sqlite_world, BANK)
    uid = broken(world)
    page = bank.get("/personalisasi/baru", ganti=uid).get_data(as_text=True)
    assert f'value="{uid}" checked' in page
    assert 'name="quantity"' not in page
    stated = world.letter() | {"function": "R"}
    wrong = bank.send("/personalisasi/baru", **stated, replaces=[uid])
    assert wrong.status_code == 422  # the letter is missing
    assert f'value="{uid}" checked' in wrong.get_data(as_text=True)
    made = done(ask(world, BANK, [uid]), 201)["id"]
    assert f'value="{uid}" checked' in bank.get(f"/personalisasi/{made}/ubah").get_data(as_text=True)
    assert goes_to(bank.send(f"/personalisasi/{made}/ubah", **stated, replaces=[uid])).startswith(f"/personalisasi/{made}")


def test_the_database_takes_no_card_more_than_was_approved_and_none_without_its_result(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = world.units("mandiri.kepala", 1, "SOFTORB-CRD-1", "R", pcid=False)[0]
    request = world.batch([(number, "SOFTORB-CRD-1", "ab" * 16, new_uid())])
    world.approve("personalisation-requests", request, "penyetuju1")
    with pytest.raises(IntegrityError, match="personalised by its result only"):
        world.sql(
            "UPDATE card SET state = 'personalised', revision = revision + 1,"
            " act_id = (SELECT id FROM audit_entry ORDER BY id LIMIT 1) WHERE state = 'registered'"
        )
    asked = world.submitted(OFFICE, "R", 1)["id"]
    world.approve("personalisation-requests", asked, "penyetuju1")
    monkeypatch.setattr(results, "_too_many", lambda *_: None)  # what the service refuses, the database refuses by itself
    body = {"results": [{"sam_uid": new_uid(), "outcome": "personalised"} for _ in range(2)]}
    refused = world.client("operator1").post(f"{PATH}/{asked}/results", body)
    assert refused.status_code == 409, refused.json
    assert world.sql("SELECT COUNT(*) FROM personalisation_result")[0][0] == 0
