"""What stands beside a request for whoever decides: the applicant's units, cards and earlier letters."""

from __future__ import annotations

from sifilma.kernel.db import db
from tests.support.counting import counted
from tests.support.visitor import Visitor, english
from tests.support.world import World, done, letter

OFFICE, HEADING = "magetan.kepala", "To be weighed"


def weighed(world: World, name: str, address: str) -> str:
    """Return the words of the box on a page, empty where there is none."""
    return english(world, name).text(address).partition(HEADING)[2].partition("Your decision")[0]


def test_an_approver_sees_units_cards_and_letters_beside_the_request(world: World) -> None:
    first = world.active()[0]
    world.units(OFFICE, 2)
    asked = world.submitted(OFFICE, "RW", 500)
    address = f"/personalisasi/{asked['id']}"
    told = weighed(world, "penyetuju1", address)
    assert "500 cards are asked for, but 2 units without a card are registered." in told
    assert "RW (read and write): 3 · 2 without a card" in told
    assert "Active: 1" in told
    assert "Completed" in told.partition("Earlier letters")[2]  # the request by which the first card came
    assert weighed(world, "operator1", address) == told
    assert HEADING not in english(world, OFFICE).text(address)
    assert HEADING not in english(world, "auditor1").text(address)
    done(world.client(OFFICE).post(f"/cards/{first.uids[0]}/reports", {"condition": "damaged", "note": "retak"}))
    assert "Broken, to be destroyed: 1" in weighed(world, "penyetuju1", address)


def test_an_old_letter_or_one_with_a_known_number_is_told(sqlite_world: World) -> None:
    office, stated = sqlite_world.client(OFFICE), sqlite_world.letter() | {"function": "R", "quantity": 1}
    ids = []
    for day in ("2026-11-01", "2026-01-02"):
        made = done(office.send("/personalisation-requests", stated | {"letter_date": day}, letter=letter()), 201)
        ids.append(done(office.post(f"/personalisation-requests/{made['id']}/submit"))["id"])
    told = weighed(sqlite_world, "penyetuju1", f"/personalisasi/{ids[1]}")
    assert "The letter was 325 days old when it was submitted." in told
    assert "An earlier request has a letter with the same number." in told
    assert "the same number" in told.partition("Earlier letters")[2]
    assert "Other open requests 1 request · 1 card" in told
    assert "days old" not in weighed(sqlite_world, "penyetuju1", f"/personalisasi/{ids[0]}")


def test_what_keeps_an_activation_from_its_approval_is_told_before(sqlite_world: World) -> None:
    uids = sqlite_world.received(OFFICE, "RW", 2)
    asked = sqlite_world.requested(OFFICE, uids)
    address = f"/aktivasi/{asked['id']}"
    assert "2 cards are asked for, but 0 units can take one." in weighed(sqlite_world, "penyetuju1", address)
    sqlite_world.units(OFFICE, 2)
    assert "can take one" not in weighed(sqlite_world, "penyetuju1", address)
    done(sqlite_world.client(OFFICE).post(f"/cards/{uids[0]}/reports", {"condition": "damaged", "note": "retak"}))
    assert f"These cards are no longer Received: {uids[0]}" in weighed(sqlite_world, "penyetuju1", address)


def test_the_basis_needs_the_same_statements_whatever_there_is(sqlite_world: World) -> None:
    page, counts = Visitor(sqlite_world, "penyetuju1"), []
    for units in (1, 8):
        sqlite_world.units(OFFICE, units)
        asked = [sqlite_world.submitted(OFFICE, "R", 3) for _ in range(units)][-1]
        with sqlite_world.app.app_context(), counted(db.engine) as found:
            page.text(f"/personalisasi/{asked['id']}")
        counts.append(len(found.statements))
    assert counts[0] == counts[1] <= 20, counts


def test_nothing_is_approved_together_without_a_choice(sqlite_world: World) -> None:
    sqlite_world.submitted()
    approver = english(sqlite_world, "penyetuju1")
    assert 'data-needs="pilih"' in approver.get("/personalisasi").get_data(as_text=True)
    assert "No request is chosen." in approver.text("/personalisasi/sekaligus")
    answer = approver.send("/personalisasi/sekaligus")
    assert answer.status_code == 422
    assert "No request is chosen: choose at least one in the list." in approver.seen


def test_both_kinds_of_request_are_decided_in_the_same_way(sqlite_world: World) -> None:
    uids = sqlite_world.received(OFFICE, "R")
    addresses = [f"/aktivasi/{sqlite_world.requested(OFFICE, uids)['id']}", f"/personalisasi/{sqlite_world.submitted()['id']}"]
    for name in ("penyetuju1", "operator1"):
        forms = []
        for address in addresses:
            page = english(sqlite_world, name).get(address).get_data(as_text=True)
            form = page.partition('id="decision"')[2].partition("</form>")[0]
            forms.append([part.partition('"')[0].rpartition("/")[2] for part in form.split('formaction="')[1:]])
        assert forms[0] == forms[1] == (["setujui", "kembalikan", "tolak"] if name == "penyetuju1" else ["verifikasi", "kembalikan"])
