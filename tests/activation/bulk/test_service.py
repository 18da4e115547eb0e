"""Several cards at one place: each its own activation, a token used once, other organisations' cards absent, tokens never on the page."""

from __future__ import annotations

import re
from typing import Any

from sifilma.fsck.run import examine
from tests.activation.bulk.sheets import worked
from tests.fsck.conftest import installation
from tests.support.visitor import Visitor, goes_to
from tests.support.world import MAGETAN_PLACE, Ready, World, done

OFFICE = "magetan.kepala"
FORM = "/aktivasi/satu-lokasi"
REVEALED = "SELECT COUNT(*) FROM audit_entry WHERE action = 'token.reveal'"


def typed(ready: Ready, **more: Any) -> dict[str, Any]:
    """Return the form as it is sent with all cards chosen."""
    place = {name: str(value) for name, value in MAGETAN_PLACE.items()} | {"province": "35", "regency": "35.20", "district": "35.20.06"}
    machines = {f"machine.{uid}": ready.hardware[uid] for uid in ready.uids}
    return {"cards": ready.uids, "source": "map", "address": "Kantor Dinas"} | place | machines | more


def test_the_form_activates_every_card_in_an_act_of_its_own_without_typed_tokens(world: World) -> None:
    ready, office = world.ready(count=3), Visitor(world, OFFICE)
    page = office.get(FORM, permohonan=ready.request).get_data(as_text=True)
    assert page.count(" checked") == 4  # each card, and the box for all
    assert not [token for token in ready.tokens.values() if token in page]
    proposed = re.findall(r"<option selected>([^<]+)<", page)
    assert sorted(proposed) == sorted(ready.hardware.values())
    revealed = world.sql(REVEALED)[0][0]
    job = goes_to(office.send(FORM, **typed(ready)))
    assert worked(world) == 3
    assert "Unduh semua manifest (ZIP)" in office.text(job)
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'activation.create'")[0][0] == 3
    assert world.sql(REVEALED)[0][0] == revealed + 1
    assert {address for (address,) in world.sql("SELECT address FROM activation")} == {"Kantor Dinas"}
    assert [str(finding) for finding in examine(installation(world)).findings] == []


def test_a_form_that_is_sent_twice_uses_each_token_once(world: World) -> None:
    ready, office = world.ready(count=2), Visitor(world, OFFICE)
    jobs = [goes_to(office.send(FORM, **typed(ready))) for _ in range(2)]
    assert worked(world) == 4
    told = [done(world.client(OFFICE).get(f"/jobs/{job.rpartition('/')[2].partition('?')[0]}")) for job in jobs]
    assert sorted(job["failed"] for job in told) == [0, 2]
    assert world.sql("SELECT COUNT(*), COUNT(DISTINCT card_id) FROM activation")[0] == (2, 2)
    assert world.sql("SELECT COUNT(*), MAX(tries) FROM token")[0] == (2, 0)


def test_a_card_that_fails_leaves_the_rest_and_comes_back_to_the_form_with_its_reason(sqlite_world: World) -> None:
    world = sqlite_world
    ready, office = world.ready(count=2), Visitor(world, OFFICE)
    job = goes_to(office.send(FORM, **typed(ready, **{f"machine.{ready.uids[0]}": "HW-TIADA"})))
    worked(world)
    assert f'href="{FORM}?pekerjaan=' in office.get(job).get_data(as_text=True)
    again = office.get(FORM, pekerjaan=job.rpartition("/")[2].partition("?")[0]).get_data(as_text=True)
    assert re.findall(r'name="cards" value="(\w+)" checked', again) == ready.uids[:1]
    assert "Organisasi Anda tidak memiliki unit dengan nomor" in again or "mesin" in again
    assert "Kantor Dinas" in again
    refused = office.send(FORM, **typed(ready, cards=ready.uids[:1], latitude="-8.4544", longitude="115.355"))
    assert (refused.status_code, "Alasan" in refused.get_data(as_text=True)) == (422, True)
    goes_to(office.send(FORM, **typed(ready, cards=ready.uids[:1])))
    worked(world)
    assert world.sql("SELECT COUNT(*) FROM manifest")[0][0] == 2


def test_another_organisations_card_is_absent_and_two_cards_share_no_machine(sqlite_world: World) -> None:
    world = sqlite_world
    ready, others, office = world.ready(count=2), world.ready("bangli.kepala", "R"), Visitor(world, OFFICE)
    assert others.uids[0] not in office.get(FORM).get_data(as_text=True)
    assert office.get(FORM, permohonan=others.request).status_code == 404
    foreign = office.send(FORM, **typed(ready, cards=[*ready.uids, others.uids[0]], **{f"machine.{others.uids[0]}": "HW-1"}))
    assert foreign.status_code == 422
    one = ready.hardware[ready.uids[0]]
    shared = office.send(FORM, **typed(ready, **{f"machine.{ready.uids[1]}": one}))
    assert (shared.status_code, shared.get_data(as_text=True).count('aria-invalid="true"')) == (422, 2)
    assert office.send(FORM, **typed(ready, cards=[])).status_code == 422
    assert Visitor(world, OFFICE, fresh=False).send(FORM, **typed(ready)).status_code == 403
    assert Visitor(world, "operator1").send(FORM, **typed(ready)).status_code == 403
    assert world.sql("SELECT COUNT(*) FROM job")[0][0] == 0


def test_a_program_sends_its_tokens_and_a_person_need_not(sqlite_world: World) -> None:
    world = sqlite_world
    ready, bank = world.institution_ready(), world.machine("BANK MANDIRI")
    (uid,) = ready.uids
    card = {"sam_uid": uid, "hardware_number": ready.hardware[uid]}
    body = MAGETAN_PLACE | {"source": "device", "address": "Kantor Cabang", "cards": [card]}
    revealed = world.sql(REVEALED)[0][0]
    refused = bank.post("/activations/together", body)
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "cards.0.token")
    done(bank.post("/activations/together", body | {"cards": [card | {"token": ready.tokens[uid]}]}), 202)
    assert world.sql(REVEALED)[0][0] == revealed
    done(world.client("mandiri.kepala").post("/activations/together", body), 202)
    assert worked(world) == 2
    assert world.sql("SELECT COUNT(*) FROM activation")[0][0] == 1
