"""A rejected place: a second person or its deadline suspends the card, a relocation answers it, lifting restores exactly what was."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from sifilma.activation import tasks
from sifilma.activation.suspensions.tasks import suspend_overdue
from sifilma.demo.facts import MAGETAN
from sifilma.fsck.run import examine
from tests.fsck.conftest import installation
from tests.support.simultaneous_calls import run_simultaneously
from tests.support.visitor import Visitor, english, landed
from tests.support.world import BANGLI_PLACE, Ready, World, done

FAR = {"latitude": BANGLI_PLACE["latitude"], "longitude": BANGLI_PLACE["longitude"], "reason": "Kantor dipindah karena banjir."}
HEAD = "magetan.kepala"
SOUND = (
    "card-suspended", "place-suspended", "manifest-card", "manifest-chain", "state-last-step", "steps-in-table", "step-act", "act-step",
    "history-object",
)  # fmt: skip


def broken(world: World) -> list[str]:
    return [str(found) for found in examine(installation(world), SOUND).findings]


def misplaced(world: World) -> tuple[Ready, str, str]:
    """Activate a card far away, and let an operator reject the place. Return it, its UID and the id of the proposal."""
    ready = world.ready()
    made = done(world.client(HEAD).post("/activations", world.activation(ready, ready.uids[0], **FAR)), 201)
    done(world.client("operator1").post(f"/activations/{made['id']}/review", {"decision": "rejected", "note": "tidak sesuai surat"}))
    [found] = done(world.client(HEAD).get("/place-suspensions"))["items"]
    return ready, ready.uids[0], found["id"]


def suspended(world: World) -> tuple[Ready, str, str]:
    ready, uid, key = misplaced(world)
    done(world.client("penyetuju1").post(f"/place-suspensions/{key}/decision", {"decision": "suspend", "note": "mesin di Bali"}))
    return ready, uid, key


def states(world: World) -> tuple[str, list[str], str]:
    """Return the states of the card, of its manifests in order, and of the proposal."""
    [(card,)] = world.sql("SELECT state FROM card")
    manifests = [state for (state,) in world.sql("SELECT state FROM manifest ORDER BY seq")]
    return card, manifests, world.sql("SELECT state FROM place_suspension")[0][0]


def relocated(world: World, ready: Ready, uid: str, **place: Any) -> Any:
    request, tokens = world.tokens(HEAD, [uid], "relocation")
    again = Ready([uid], tokens, ready.hardware, request)
    return done(world.client(HEAD).post("/activations", world.activation(again, uid, **place)), 201)


def worked(world: World) -> int:
    with world.context() as ctx:
        return suspend_overdue(ctx)


def test_a_rejected_place_suspends_its_card_at_the_deadline_and_not_before(world: World) -> None:
    misplaced(world)
    assert states(world) == ("active", ["active"], "proposed")
    world.clock.advance(days=13, hours=23)
    assert (worked(world), states(world)[0]) == (0, "active")
    world.clock.advance(hours=2)
    assert (worked(world), worked(world)) == (1, 0)
    assert states(world) == ("suspended", ["suspended"], "suspended")
    assert broken(world) == []


def test_the_deadline_suspends_once_however_many_workers_there_are(postgresql_world: World) -> None:
    misplaced(postgresql_world)
    postgresql_world.clock.advance(days=15)
    assert sorted(run_simultaneously([lambda: worked(postgresql_world)] * 8)) == [0] * 7 + [1]
    assert postgresql_world.sql("SELECT COUNT(*) FROM history WHERE object_kind = 'card' AND to_state = 'suspended'") == [(1,)]


def test_another_person_decides_and_lifting_restores_exactly_what_was(world: World) -> None:
    _, uid, key = misplaced(world)
    world.give_role("operator1", "approver")
    path, decision = f"/place-suspensions/{key}", {"decision": "suspend", "note": "mesin di Bali"}
    assert world.client("operator1").post(f"{path}/decision", decision).json["type"].endswith("four-eyes")
    assert world.client(HEAD).post(f"{path}/decision", decision).status_code == 403
    assert world.client("penyetuju1", fresh=False).post(f"{path}/decision", decision).json["type"].endswith("step-up-required")
    before = world.sql("SELECT state, seq, unit_id, holder_id FROM card")
    done(world.client("penyetuju1").post(f"{path}/decision", decision))
    assert states(world) == ("suspended", ["suspended"], "suspended")
    manifest = done(world.client(HEAD).get("/manifests"))["items"][0]["id"]
    assert world.client(HEAD).post(f"/manifests/{manifest}/download").status_code == 409
    assert world.client("penyetuju1").post(f"{path}/decision", decision).status_code == 409
    assert world.machine(MAGETAN).post(f"/cards/{uid}/reports", {"condition": "lost", "note": "x y"}).json["type"].endswith("by-person")
    assert world.client("operator1").post(f"{path}/lift", {"note": "keliru"}).json["type"].endswith("four-eyes")
    assert done(world.client("penyetuju2").post(f"{path}/lift", {"note": "tempatnya benar"}))["state"] == "lifted"
    assert world.sql("SELECT state, seq, unit_id, holder_id FROM card") == before
    assert states(world) == ("active", ["active"], "lifted")
    assert world.client(HEAD).post(f"/manifests/{manifest}/download").status_code == 200
    assert broken(world) == []


def test_a_relocation_to_a_place_that_fits_answers_the_proposal_or_the_suspension(world: World) -> None:
    ready, uid, _ = suspended(world)
    assert world.client(HEAD).send("/activation-requests", {}, letter=b"").status_code == 422
    relocated(world, ready, uid)
    assert states(world) == ("active", ["superseded", "active"], "answered")
    assert broken(world) == []


def test_before_the_deadline_a_relocation_answers_the_proposal(sqlite_world: World) -> None:
    world = sqlite_world
    ready, uid, _ = misplaced(world)
    relocated(world, ready, uid)
    world.clock.advance(days=30)
    assert (worked(world), states(world)) == (0, ("active", ["superseded", "active"], "answered"))
    assert broken(world) == []


def test_a_suspended_card_at_a_doubtful_place_stays_suspended_until_the_place_is_accepted(world: World) -> None:
    ready, uid, key = suspended(world)
    made = relocated(world, ready, uid, **FAR | {"reason": "Kantor cabang di Bali."})
    assert states(world) == ("suspended", ["superseded", "suspended"], "suspended")
    assert broken(world) == []
    review = f"/activations/{made['id']}/review"
    done(world.client("operator1").post(review, {"decision": "accepted", "note": "sesuai surat tugas"}))
    assert states(world) == ("active", ["superseded", "active"], "answered")
    assert done(world.client(HEAD).get(f"/place-suspensions/{key}"))["state"] == "answered"
    assert broken(world) == []


def test_a_place_that_waits_for_its_review_holds_the_deadline_up_and_a_second_rejection_keeps_it(sqlite_world: World) -> None:
    world = sqlite_world
    ready, uid, _ = misplaced(world)
    made = relocated(world, ready, uid, **FAR | {"reason": "Kantor cabang."})
    world.clock.advance(days=15)
    assert worked(world) == 0
    done(world.client("operator1").post(f"/activations/{made['id']}/review", {"decision": "rejected", "note": "tetap salah"}))
    assert world.sql("SELECT COUNT(*) FROM place_suspension") == [(1,)]
    assert worked(world) == 1
    assert broken(world) == []


def test_what_ends_the_manifest_ends_the_suspension(world: World) -> None:
    _, uid, _ = suspended(world)
    path = f"/manifests/{done(world.client(HEAD).get('/manifests'))['items'][0]['id']}/revoke"
    done(world.client("operator1").post(path, {"reason": "mesin dicuri"}), 202)
    done(world.client("penyetuju1").post(path, {"reason": "mesin dicuri"}))
    assert states(world) == ("received", ["revoked"], "closed")
    assert broken(world) == []
    assert done(world.client(HEAD).get(f"/cards/{uid}"))["state"] == "received"


@pytest.mark.parametrize("condition", ["damaged", "lost"])
def test_a_card_that_breaks_while_suspended_takes_the_suspension_with_it(sqlite_world: World, condition: str) -> None:
    _, uid, _ = suspended(sqlite_world)
    done(sqlite_world.client(HEAD).post(f"/cards/{uid}/reports", {"condition": condition, "note": "patah"}))
    assert states(sqlite_world) == (condition, ["revoked"], "closed")
    assert broken(sqlite_world) == []


def test_an_expired_manifest_closes_the_suspension(sqlite_world: World) -> None:
    suspended(sqlite_world)
    sqlite_world.clock.advance(days=3 * 366 + 31)
    with sqlite_world.context() as ctx:
        assert tasks.expire_manifests(ctx) == 1
    assert states(sqlite_world) == ("received", ["expired"], "closed")
    assert broken(sqlite_world) == []


def test_a_place_that_counts_no_more_opens_nothing(sqlite_world: World) -> None:
    world = sqlite_world
    ready = world.ready()
    uid = ready.uids[0]
    made = done(world.client(HEAD).post("/activations", world.activation(ready, uid, **FAR)), 201)
    relocated(world, ready, uid)
    done(world.client("operator1").post(f"/activations/{made['id']}/review", {"decision": "rejected", "note": "sudah pindah"}))
    assert world.sql("SELECT COUNT(*) FROM place_suspension") == [(0,)]


def test_the_holder_finds_what_to_do_and_the_approver_what_to_decide(sqlite_world: World) -> None:
    world = sqlite_world
    world.change_account(HEAD, email="indah@magetan.example")
    world.configure(smtp_host="127.0.0.1", smtp_from="si-filma@contoh.example")
    _, uid, key = misplaced(world)
    page = f"/pembekuan/{key}"
    for who, path in ((HEAD, "/"), ("penyetuju1", "/"), (HEAD, f"/kartu/{uid}"), ("operator1", "/"), (HEAD, "/pembekuan")):
        assert page in english(world, who).get(path).get_data(as_text=True), (who, path)
    told = "SELECT COUNT(*) FROM outbox_message WHERE purpose = 'notice'"
    [(before,)] = world.sql(told)
    head = english(world, HEAD)
    assert "Ask for the relocation" in head.text(page)
    link = f"/aktivasi/baru?jenis=relocation&amp;cards={uid}"
    assert link in head.get(page).get_data(as_text=True)
    assert "Bekukan" in Visitor(world, "penyetuju1").text(page)
    assert english(world, "penyetuju1").send(f"{page}/putusan", decision="suspend", note=" ").status_code == 422
    landed(english(world, "penyetuju1").send(f"{page}/putusan", decision="suspend", note="mesin di Bali"))
    assert page in head.get("/").get_data(as_text=True)
    assert uid in head.get("/aktivasi/baru", jenis="relocation").get_data(as_text=True)
    assert uid not in head.get("/aktivasi/baru", jenis="renewal").get_data(as_text=True)
    landed(english(world, "penyetuju2").send(f"{page}/cabut", note="sudah benar"))
    assert page not in head.get("/").get_data(as_text=True)
    assert world.sql(told) == [(before + 2,)]  # of the decision, and of its end


def test_the_database_refuses_a_suspension_before_its_time_and_by_its_proposer(world: World) -> None:
    misplaced(world)
    step = "UPDATE place_suspension SET state = '{}', revision = revision + 1, act_id = (SELECT act_id FROM card), suspension_id = NULL"
    with pytest.raises(DBAPIError, match="second person"):
        world.sql(step.format("dropped"))
    with pytest.raises(DBAPIError, match="second person"):
        world.sql(step.format("dropped") + ", decided_by_person = proposed_by_person")
    with pytest.raises(DBAPIError, match="does not change"):
        world.sql("UPDATE place_suspension SET due_at = '2020-01-01 00:00:00'")
