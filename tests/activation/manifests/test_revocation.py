"""A manifest ends: revoked by two persons, by a report, or by time."""

from __future__ import annotations

from functools import partial
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from sifilma.activation import tasks
from sifilma.activation.manifests import revocation
from tests.activation.conftest import check
from tests.support.simultaneous_calls import start_in_background
from tests.support.world import World, done


def test_two_persons_revoke_a_manifest_and_its_card_is_received_again(world: World) -> None:
    ready, answers = world.active()
    path = f"/manifests/{answers[0]['manifest']['id']}/revoke"
    data = world.client("magetan.kepala").post(f"/manifests/{answers[0]['manifest']['id']}/download").get_data()
    early = world.client("penyetuju1").post(path)
    assert (early.status_code, early.json["type"]) == (409, "urn:sifilma:problem:no-proposal")
    assert world.client("operator1").post(path).status_code == 422  # a reason is needed
    proposed = done(world.client("operator1").post(path, {"reason": "mesin dicuri"}), 202)
    assert (proposed["state"], proposed["revocation"]["state"]) == ("active", "proposed")
    assert check(world, data).valid  # nothing has changed yet
    assert world.client("operator2").post(path, {"reason": "lagi"}).status_code == 409
    stale = world.client("penyetuju1", fresh=False).post(path)
    assert stale.json["type"].endswith("step-up-required")
    executed = done(world.client("penyetuju1").post(path))
    assert executed["state"] == "revoked"
    assert check(world, data).reason == "revoked"
    assert done(world.client("magetan.kepala").get(f"/cards/{ready.uids[0]}"))["state"] == "received"
    assert world.client("penyetuju2").post(path).status_code == 409


def test_a_rejected_proposal_changes_nothing(world: World) -> None:
    _, answers = world.active()
    path = f"/manifests/{answers[0]['manifest']['id']}/revoke"
    done(world.client("operator1").post(path, {"reason": "salah lapor"}), 202)
    shown = done(world.client("penyetuju1").post(path, {"decision": "reject", "reason": "tidak terbukti"}))
    assert (shown["state"], shown["revocation"]["state"]) == ("active", "rejected")


def test_a_proposal_for_an_ended_manifest_can_still_be_rejected(sqlite_world: World) -> None:
    world = sqlite_world
    ready, answers = world.active()
    path = f"/manifests/{answers[0]['manifest']['id']}/revoke"
    done(world.client("operator1").post(path, {"reason": "mesin dicuri"}), 202)
    done(world.client("magetan.kepala").post(f"/cards/{ready.uids[0]}/reports", {"condition": "lost", "note": "hilang"}))
    assert world.client("penyetuju1").post(path, {"decision": "execute"}).status_code == 409
    shown = done(world.client("penyetuju1").post(path, {"decision": "reject", "reason": "sudah dicabut"}))
    assert (shown["state"], shown["revocation"]["state"]) == ("revoked", "rejected")


def test_one_of_two_simultaneous_contrary_decisions_wins(postgresql_world: World) -> None:
    world = postgresql_world
    _, answers = world.active()
    manifest = UUID(answers[0]["manifest"]["id"])
    done(world.client("operator1").post(f"/manifests/{manifest}/revoke", {"reason": "mesin dicuri"}), 202)
    client = world.client("penyetuju2")
    with world.acting("penyetuju1") as ctx:
        revocation.decide(ctx, revocation.get_open_proposal(ctx, manifest), execute=True)
        rejects = {"decision": "reject", "reason": "tidak terbukti"}
        other = start_in_background(partial(client.post, f"/manifests/{manifest}/revoke", rejects))
    assert other().status_code == 409
    assert world.sql("SELECT state FROM revocation") == [("executed",)]
    assert world.sql("SELECT state FROM manifest") == [("revoked",)]
    with pytest.raises(IntegrityError, match="what is decided stays"):
        world.sql("UPDATE revocation SET state = 'rejected', revision = revision + 1, act_id = id")


def test_two_simultaneous_proposals_leave_one(postgresql_world: World) -> None:
    world = postgresql_world
    _, answers = world.active()
    manifest = UUID(answers[0]["manifest"]["id"])
    client = world.client("operator2")
    with world.acting("operator1") as ctx:
        revocation.propose(ctx, manifest, "mesin dicuri")
        other = start_in_background(partial(client.post, f"/manifests/{manifest}/revoke", {"reason": "mesin hilang"}))
    assert other().status_code == 409
    assert world.sql("SELECT reason FROM revocation") == [("mesin dicuri",)]


def test_other_people_may_neither_propose_nor_execute(world: World) -> None:
    _, answers = world.active()
    path = f"/manifests/{answers[0]['manifest']['id']}/revoke"
    for name in ("magetan.kepala", "auditor1", "admin1", "jatim.kepala"):
        assert world.client(name).post(path, {"reason": "alasan"}).status_code == 403, name


def test_a_damage_report_revokes_the_manifest_and_cancels_the_tokens(world: World) -> None:
    ready, answers = world.active()
    uid, client = ready.uids[0], world.client("magetan.kepala")
    data = client.post(f"/manifests/{answers[0]['manifest']['id']}/download").get_data()
    request, _ = world.tokens("magetan.kepala", [uid], "renewal")
    assert done(client.post(f"/cards/{uid}/reports", {"condition": "damaged", "note": "retak"}))["state"] == "damaged"
    assert check(world, data).reason == "revoked"
    assert done(client.get(f"/activation-requests/{request}"))["tokens"][0]["state"] == "cancelled"
    assert client.post(f"/cards/{uid}/reports", {"condition": "found", "note": "ketemu"}).status_code == 409


def test_a_found_card_needs_a_new_manifest(world: World) -> None:
    ready, _ = world.active()
    uid, client = ready.uids[0], world.client("magetan.kepala")
    done(client.post(f"/cards/{uid}/reports", {"condition": "lost", "note": "hilang"}))
    assert done(client.post(f"/cards/{uid}/reports", {"condition": "found", "note": "ditemukan"}))["state"] == "received"
    _, tokens = world.tokens("magetan.kepala", [uid])
    answer = done(client.post("/activations", world.activation(ready, uid, token=tokens[uid])), 201)
    assert answer["manifest"]["seq"] == 2


def test_a_manifest_expires_after_its_grace_period_and_its_card_is_received_again(world: World) -> None:
    ready, answers = world.active()
    data = world.client("magetan.kepala").post(f"/manifests/{answers[0]['manifest']['id']}/download").get_data()
    world.clock.advance(days=365 * 3 + 2)
    late = check(world, data)
    assert late.valid
    assert late.warning
    assert expire(world) == 0
    world.clock.advance(days=30)
    assert check(world, data).reason == "expired"
    assert expire(world) == 1
    assert world.sql("SELECT state FROM manifest")[0][0] == "expired"
    assert world.sql("SELECT state FROM card")[0][0] == "received"
    assert expire(world) == 0
    assert world.sql("SELECT uid FROM card")[0][0] == ready.uids[0]


def expire(world: World) -> int:
    with world.context() as ctx:
        return tasks.expire_manifests(ctx)
