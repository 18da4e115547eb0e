"""Units break, are repaired and retired; what was typed wrong is corrected: at once while nothing is bound to it, by two persons after."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from sifilma.activation.issuing import service as issuing
from sifilma.activation.schemas import ActivationIn
from sifilma.kernel.errors import Conflict
from sifilma.regions.sources import place_check
from tests.support.fsck_findings import fsck_findings
from tests.support.visitor import english, landed
from tests.support.world import Client, Ready, World, done

HEAD, STAFF = "magetan.kepala", "magetan.staf"
WHY = {"reason": "terjatuh dari meja"}


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, str(answer.json["type"]).rpartition(":")[2]


def unit_of(client: Client, number: str) -> dict[str, Any]:
    return dict(done(client.get("/units", hardware_number=number))["items"][0])


def test_a_unit_breaks_is_repaired_and_is_retired_only_without_a_card(world: World) -> None:
    ready, _ = world.active(function="R")
    client, number = world.client(HEAD), ready.hardware[ready.uids[0]]
    path = f"/units/{unit_of(client, number)['id']}"
    assert refused(client.post(f"{path}/repair", WHY)) == (409, "conflict")
    assert client.post(f"{path}/break", {"reason": ""}).json["errors"][0]["field"] == "reason"
    broken = done(client.post(f"{path}/break", WHY))
    assert (broken["condition"], broken["condition_reason"], broken["state"]) == ("broken", WHY["reason"], "active")  # the card stays
    assert [unit["id"] for unit in done(client.get("/units", condition="broken"))["items"]] == [broken["id"]]
    assert "A unit is broken: replace, repair or retire it" in english(world, STAFF).text("/")
    assert refused(client.post(f"{path}/retire", WHY)) == (409, "unit-has-card")
    with pytest.raises(IntegrityError, match="living card"):
        world.sql("UPDATE unit SET state='retired', revision=revision+1, act_id=(SELECT id FROM audit_entry ORDER BY id LIMIT 1)")
    _, tokens = world.tokens(HEAD, ready.uids, "relocation", "R")
    body = world.activation(Ready(ready.uids, tokens, ready.hardware, ""), ready.uids[0])
    assert refused(client.post("/activations", body)) == (422, "unit-not-working")
    done(client.post(f"{path}/repair", {"reason": "sudah diperbaiki"}))
    done(client.post("/activations", body), 201)
    done(client.post(f"/cards/{ready.uids[0]}/reports", {"condition": "damaged", "note": "patah"}))
    assert done(client.post(f"{path}/retire", WHY))["condition"] == "retired"
    assert refused(client.post(f"{path}/break", WHY)) == (409, "conflict")
    assert refused(client.post(f"{path}/correct", WHY)) == (409, "unit-retired")
    assert world.client("bangli.kepala").post(f"{path}/break", WHY).status_code == 404
    assert fsck_findings(world) == []


def test_no_card_is_tied_to_a_unit_that_does_not_work(world: World) -> None:
    uid, client = world.received(function="R")[0], world.client(HEAD)
    unit = unit_of(client, world.units(HEAD, 1, "LEN-CRD-1", "R")[0])
    done(client.post(f"/units/{unit['id']}/break", WHY))
    with pytest.raises(IntegrityError, match="working unit"):
        world.sql("UPDATE card SET unit_id = (SELECT id FROM unit) WHERE uid = :uid", uid=uid)


def test_a_unit_is_corrected_at_once_while_nothing_is_bound_to_it(world: World) -> None:
    client, (first, other) = world.client(HEAD), world.units(HEAD, 2, "LEN-CRD-1", "R")
    path, pcid = f"/units/{unit_of(client, first)['id']}/correct", secrets.token_hex(16).upper()
    wrong = {"hardware_number": other, "pcid": "0" * 32, "model": "LEN-ENC-1", "function": "R"}
    assert [error["field"] for error in client.post(path, wrong).json["errors"]] == ["function", "hardware_number", "pcid"]
    assert client.post(path, WHY).json["errors"][0]["message"] == "Nothing differs from what is registered."
    right = {"hardware_number": "CRD-12", "pcid": pcid, "model": "LEN-ENC-1", "sam_perso": "A" * 16, "reason": "salah ketik"}
    now = done(client.post(path, right))
    assert {name: now[name] for name in ("hardware_number", "pcid", "model", "function", "sam_perso")} == {
        "hardware_number": "CRD-12", "pcid": pcid, "model": "LEN-ENC-1", "function": "RW", "sam_perso": "A" * 16,
    }  # fmt: skip
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'unit.correct'")[0][0] == 1
    assert refused(client.post(path, {"pcid": pcid, "proposal": secrets.token_hex(16)})) == (404, "not-found")
    assert fsck_findings(world) == []


def test_two_persons_correct_a_unit_with_a_card_and_its_manifest_ends(world: World) -> None:
    ready, answers = world.active(function="R")
    head, staff = world.client(HEAD), world.client(STAFF)
    number, uid = ready.hardware[ready.uids[0]], ready.uids[0]
    path = f"/units/{unit_of(head, number)['id']}/correct"
    assert refused(world.client(HEAD, fresh=False).post(path, {"hardware_number": "CRD-9"} | WHY)) == (403, "step-up-required")
    wrong = head.post(path, {"model": "LEN-ENC-1"}).json["errors"]
    assert {error["field"] for error in wrong} >= {"model", "reason"}
    waiting = done(head.post(path, {"hardware_number": "CRD-9"} | WHY), 202)
    assert (waiting["hardware_number"], waiting["correction"]["hardware_number"], waiting["correction"]["pcid"]) == (number, "CRD-9", None)
    decision = {"proposal": waiting["correction"]["id"], "reason": "sesuai label"}
    assert refused(head.post(path, {"pcid": "AB" * 16} | WHY)) == (409, "proposed-already")
    assert refused(head.post(path, decision)) == (403, "four-eyes")
    assert "Decide on the correction of a unit" in english(world, STAFF).text("/")
    assert "Correction of a unit awaits another person" in english(world, HEAD).text("/")
    with pytest.raises(IntegrityError, match=r"two persons|by an act only"):
        world.sql("UPDATE unit SET hardware_number = 'CRD-9', version = version + 1")
    assert done(staff.post(path, decision))["hardware_number"] == "CRD-9"
    assert done(head.get(f"/manifests/{answers[0]['manifest']['id']}"))["state"] == "revoked"
    assert done(head.get(f"/cards/{uid}"))["state"] == "received"
    _, tokens = world.tokens(HEAD, [uid], "new", "R")
    body = world.activation(Ready([uid], tokens, {uid: "CRD-9"}, ""), uid)
    again = done(head.post("/activations", body), 201)
    assert done(head.get(f"/manifests/{again['manifest']['id']}"))["seq"] == 2
    assert refused(staff.post(path, decision)) == (409, "conflict")
    stale = {who: world.client(who, fresh=False) for who in (HEAD, STAFF)}
    asked = done(head.post(path, {"pcid": secrets.token_hex(16)} | WHY), 202)["correction"]["id"]
    for how in ("execute", "reject"):
        assert refused(stale[STAFF].post(path, {"proposal": asked, "decision": how} | WHY)) == (403, "step-up-required")
    assert done(stale[HEAD].post(path, {"proposal": asked, "decision": "withdraw"} | WHY))["correction"] is None
    for how, who in (("reject", staff), ("withdraw", head)):
        asked = done(head.post(path, {"pcid": secrets.token_hex(16)} | WHY), 202)["correction"]["id"]
        assert done(who.post(path, {"proposal": asked, "decision": how, "reason": "tidak sesuai"}))["correction"] is None
    assert fsck_findings(world) == []


def test_a_unit_is_corrected_and_decided_on_its_pages(sqlite_world: World) -> None:
    world = sqlite_world
    ready, _ = world.active(function="R")
    head, staff, number = english(world, HEAD), english(world, STAFF), ready.hardware[ready.uids[0]]
    unit = unit_of(world.client(HEAD), number)["id"]
    form = head.get(f"/unit/{unit}/koreksi").get_data(as_text=True)
    assert 'name="pcid"' in form
    assert 'name="sam_perso"' not in form
    pcid = secrets.token_hex(16).upper()
    stale = english(world, HEAD, fresh=False)
    assert stale.send(f"/unit/{unit}/koreksi", hardware_number=number).status_code == 422  # errors before the code
    assert stale.send(f"/unit/{unit}/koreksi", hardware_number=number, pcid=pcid, reason="tertukar").status_code == 403
    landed(head.send(f"/unit/{unit}/koreksi", hardware_number=number, pcid=pcid, reason="tertukar"))
    [(correction,)] = world.sql("SELECT id FROM unit_correction")
    path = f"/unit/koreksi/{correction[:8]}-{correction[8:12]}-{correction[12:16]}-{correction[16:20]}-{correction[20:]}"
    assert pcid in staff.text(path)
    assert head.send(f"{path}/laksanakan").status_code == 403
    assert "is revoked" in staff.send(f"{path}/laksanakan", sure="").get_data(as_text=True)  # asked first
    landed(staff.send(f"{path}/laksanakan"))
    assert unit_of(world.client(HEAD), number)["pcid"] == pcid
    landed(head.send(f"/unit/{unit}/rusak", reason="terbakar"))
    page = head.text(f"/unit/{unit}")
    assert "terbakar" in page
    assert "Ask for a replacement" in page
    assert number in head.text("/unit?condition=broken")
    assert number not in head.text("/unit?condition=working")
    free = unit_of(world.client(HEAD), world.units(HEAD, 1, "LEN-CRD-1", "R")[0])["id"]
    landed(head.send(f"/unit/{free}/koreksi", hardware_number="CRD-77", model="LEN-CRD-1", function="R"))
    assert "out of use for good" in head.send(f"/unit/{free}/afkir", reason="usang", sure="").get_data(as_text=True)
    landed(head.send(f"/unit/{free}/afkir", reason="usang"))
    assert unit_of(world.client(HEAD), "CRD-77")["condition"] == "retired"


def test_an_activation_that_read_the_former_number_comes_too_late(postgresql_world: World) -> None:
    """The correction commits between the reading and the writing of an activation: no manifest names the former number."""
    world = postgresql_world
    ready = world.ready(function="R")
    uid, client, staff = ready.uids[0], world.client(HEAD), world.client(STAFF)
    data = ActivationIn.model_validate(world.activation(ready, uid))
    unit = unit_of(client, ready.hardware[uid])["id"]
    with world.acting(HEAD) as ctx:
        places = place_check(world.settings.home)
        seen = issuing.check(ctx, world.hsm, places, data)
        signed = issuing.sign(ctx, world.settings, world.hsm, [seen])[0]
        done(client.post(f"/units/{unit}/correct", {"hardware_number": "CRD-5"} | WHY))
        assert signed is not None
        ctx.uow.begin_write()
        with pytest.raises(Conflict, match="or to its machine"):
            issuing.issue(ctx, [(seen, signed)])
        ctx.uow.rollback()
    assert done(staff.get(f"/cards/{uid}"))["state"] == "received"
