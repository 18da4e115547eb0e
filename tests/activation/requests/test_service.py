"""Activation requests, before there is a token."""

from __future__ import annotations

from functools import partial
from typing import Any

from sifilma.activation.requests import service
from sifilma.activation.schemas import ActivationRequestIn
from sifilma.documents.service import Upload
from sifilma.resources import resources
from tests.support.simultaneous_calls import start_in_background
from tests.support.world import Client, World, done, letter


def draft(world: World, client: Client, uids: list[str], **more: Any) -> Any:
    stated = world.letter() | {"machines": len(uids), "cards": uids} | more
    return client.send("/activation-requests", stated, letter=letter())


def test_a_request_names_received_cards_of_its_own_organisation(world: World) -> None:
    uids = world.received()
    client = world.client("magetan.kepala")
    made = done(draft(world, client, [" ".join(uids[0][i : i + 2] for i in range(0, 16, 2)).lower()]), 201)
    assert made["cards"] == uids  # the same UID as it is printed: in pairs, lower case
    assert made["state"] == "draft"
    assert draft(world, world.client("bangli.kepala"), uids).status_code == 422
    assert draft(world, client, world.personalised()).status_code == 422  # not received yet
    assert draft(world, client, uids).json["errors"][0]["message"].endswith("is in another open request.")


def test_a_request_has_as_many_machines_as_cards_all_of_one_function(world: World) -> None:
    client, uids = world.client("magetan.kepala"), world.received()
    refused = draft(world, client, uids, machines=2)
    assert refused.json["errors"][0]["field"] == "machines"
    readers = world.received(function="R")
    assert draft(world, client, uids + readers).json["errors"][0]["field"] == "cards"
    assert draft(world, client, [*uids, *uids]).status_code == 422


def test_relocation_and_renewal_are_for_active_cards(world: World) -> None:
    ready, _ = world.active()
    client = world.client("magetan.kepala")
    assert draft(world, client, ready.uids).status_code == 422
    done(draft(world, client, ready.uids, kind="renewal"), 201)
    assert draft(world, client, world.received(), kind="relocation").status_code == 422


def test_two_simultaneous_drafts_cannot_take_the_same_card(postgresql_world: World) -> None:
    world = postgresql_world
    uids, client = world.received(), world.client("magetan.staf")
    with world.acting("magetan.kepala") as ctx:
        stated = ActivationRequestIn.model_validate(world.letter() | {"machines": 1, "cards": uids})
        service.draft(ctx, resources().files, stated, Upload("surat.pdf", letter()))
        other = start_in_background(partial(draft, world, client, uids))
    assert other().status_code == 422
    assert world.sql("SELECT COUNT(*) FROM activation_request_card") == [(1,)]


def test_rw_needs_two_approvers_and_r_needs_one(world: World) -> None:
    uids = world.received()
    request = world.requested("magetan.kepala", uids)
    first = world.approve("activation-requests", request["id"], "penyetuju1")
    assert (first["state"], len(first["approvals"]), first["tokens"]) == ("submitted", 1, [])
    digest = {"digest": request["digest"]}
    twice = world.client("penyetuju1").post(f"/activation-requests/{request['id']}/approve", digest)
    assert twice.status_code == 409
    second = world.approve("activation-requests", request["id"], "penyetuju2")
    assert (second["state"], len(second["tokens"])) == ("approved", 1)
    reader = world.requested("magetan.kepala", world.received(function="R"))
    assert world.approve("activation-requests", reader["id"], "penyetuju2")["state"] == "approved"


def test_an_approval_binds_what_was_seen(world: World) -> None:
    request = world.requested("magetan.kepala", world.received())
    refused = world.client("penyetuju1").post(f"/activation-requests/{request['id']}/approve", {"digest": "0" * 64})
    assert (refused.status_code, refused.json["type"]) == (409, "urn:sifilma:problem:digest-mismatch")
    stale = world.client("penyetuju1", fresh=False).post(f"/activation-requests/{request['id']}/approve", {"digest": request["digest"]})
    assert stale.json["type"].endswith("step-up-required")


def test_a_returned_request_is_edited_and_approved_again(world: World) -> None:
    uids = world.received(count=2)
    request = world.requested("magetan.kepala", uids[:1])
    client, path = world.client("magetan.kepala"), f"/activation-requests/{request['id']}"
    world.approve("activation-requests", request["id"], "penyetuju1")
    stated = world.letter() | {"machines": 2, "cards": uids}
    assert client.send(path, stated, method="PUT").status_code == 409  # a submitted request cannot be edited
    assert world.client("operator1").post(f"{path}/return", {"note": ""}).status_code == 422  # a note must say what to correct
    done(world.client("operator1").post(f"{path}/return", {"note": "satu kartu kurang"}))
    edited = done(client.send(path, stated, method="PUT"))
    assert edited["cards"] == uids
    again = done(client.post(f"{path}/submit"))
    assert again["digest"] != request["digest"]
    assert again["approvals"] == []  # the approval of the old content does not count
    assert world.approve("activation-requests", request["id"], "penyetuju1", "penyetuju2")["state"] == "approved"


def test_cards_that_changed_since_are_named_at_approval(world: World) -> None:
    uids = world.received()
    request = world.requested("magetan.kepala", uids)
    done(world.client("magetan.kepala").post(f"/cards/{uids[0]}/reports", {"condition": "damaged", "note": "patah"}))
    world.approve("activation-requests", request["id"], "penyetuju1")
    refused = world.client("penyetuju2").post(f"/activation-requests/{request['id']}/approve", {"digest": request["digest"]})
    assert (refused.status_code, refused.json["type"]) == (409, "urn:sifilma:problem:cards-changed")
    assert uids[0] in refused.json["detail"]


def test_an_api_key_may_draft_but_not_submit(world: World) -> None:
    uids = world.received()
    machine = world.machine("Dinas Kependudukan dan Pencatatan Sipil Kabupaten Magetan")
    made = done(draft(world, machine, uids), 201)
    assert machine.post(f"/activation-requests/{made['id']}/submit").status_code == 403
    done(world.client("magetan.kepala").post(f"/activation-requests/{made['id']}/submit"))


def test_a_rejected_or_cancelled_request_releases_its_letter_and_cards(world: World) -> None:
    uids = world.received()
    client = world.client("magetan.kepala")
    stated = world.letter() | {"machines": 1, "cards": uids}
    for end in ("reject", "cancel"):
        made = done(client.send("/activation-requests", stated, letter=letter()), 201)
        done(client.post(f"/activation-requests/{made['id']}/submit"))
        who = world.client("penyetuju1") if end == "reject" else client
        assert done(who.post(f"/activation-requests/{made['id']}/{end}", {"note": "tidak lengkap"}))["state"].startswith(end)
    done(client.send("/activation-requests", stated, letter=letter()), 201)
    spaced = stated | {"letter_number": " ".join(stated["letter_number"])}
    assert client.send("/activation-requests", spaced, letter=letter()).status_code in (409, 422)
