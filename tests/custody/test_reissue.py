"""A compromised key's manifests are issued anew by one act: same card, machine, place and end; nobody asks, and no token is seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from hsm import HSM
from hsm.keys import SIGNING_PLAN
from manifests.jws import split
from manifests.payload import Manifest as Payload
from sifilma.app.audit_commands import keep_log
from sifilma.app.chores import CARRIED, CHORES
from sifilma.demo.facts import MAGETAN
from sifilma.fsck.run import examine
from sifilma.kernel.unit_of_work import assert_no_transaction
from tests.activation.suspensions.test_service import FAR
from tests.cards.test_program_reports import TOLD
from tests.custody.test_rotation import WHO, download, own_world, rotate, verdict
from tests.fsck.conftest import installation
from tests.support import databases
from tests.support.databases import Fresh
from tests.support.softhsm import PIN, SoftHSM
from tests.support.visitor import Visitor
from tests.support.world import World, done

__all__ = ["own_world"]  # a fixture


def said(line: bytes) -> Payload:
    return Payload.from_bytes(split(line, "sam-manifest+jws").payload)


def carried(world: World) -> int:
    with world.app.app_context():
        return CHORES[CARRIED].run()


def standing(world: World) -> list[Any]:
    found, page = [], {"next": None}
    while page.get("items") is None or page["next"]:
        page = done(world.client(WHO).get("/manifests", state="active", limit=100, **({"cursor": page["next"]} if page["next"] else {})))
        found += page["items"]
    return found


def findings(world: World) -> list[str]:
    with world.app.app_context():
        keep_log(now=True)
    return [str(found) for found in examine(installation(world)).findings]


def reissued(world: World, count: int, looked_at: int) -> None:
    """Have manifests issued anew, and compare some of the files with those they replace; fsck looks at all."""
    _, active = world.active(function="R", count=count)
    before = {one["manifest"]["id"]: said(download(world, one)) for one in active[:looked_at]}
    rotate(world, "manifest-sign", act="compromise")
    while carried(world):
        pass
    rows = standing(world)
    assert len(rows) == count
    for row in (row for row in rows if row["reissue"]["replaces"] in before):
        line = world.client(WHO).post(f"/manifests/{row['id']}/download").get_data()
        assert verdict(world, line) == "valid"
        new, old = said(line), before[row["reissue"]["replaces"]]
        for name in ("sub", "fn", "unit", "org", "loc", "card", "cfg", "exp", "grace"):
            assert getattr(new, name) == getattr(old, name), name
        assert (new.seq, row["reissue"]["cause"]) == (old.seq + 1, "compromised")


def test_manifests_of_a_compromised_key_are_issued_anew(own_world: World) -> None:
    world = own_world
    reissued(world, 20, looked_at=3)
    assert carried(world) == 0
    assert findings(world) == []
    made = done(world.client(WHO).get(f"/activations/{standing(world)[0]['activation']}"))
    assert (made["source"], made["review"]["state"]) == ("carried", "none")
    assert made["stated_by"] is not None


@pytest.fixture(params=databases.KINDS)
def either_world(request: pytest.FixtureRequest, tmp_path: Path, softhsm: SoftHSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation on each database, with a token of its own."""
    fresh: Fresh = request.getfixturevalue(f"inhabited_{request.param}")
    url = fresh.make()
    token = softhsm.token(f"anew-{tmp_path.name[-20:]}", SIGNING_PLAN, assert_no_transaction)
    with closing(World(url, tmp_path / "home", token, root_token)) as world:
        world.configure(root_pin=SecretStr(PIN))
        yield world
    fresh.remove(url)


def test_what_stands_with_a_card_stays_and_what_cannot_be_issued_anew_says_why(either_world: World) -> None:
    world = either_world
    head, operator = world.client(WHO), world.client("operator1")
    ready = world.ready(function="R", count=4)
    far, reported, broken, plain = ready.uids
    made = {uid: done(head.post("/activations", world.activation(ready, uid, **(FAR if uid == far else {}))), 201) for uid in ready.uids}
    report = done(world.machine(MAGETAN).post(f"/cards/{reported}/reports", TOLD | {"condition": "damaged"}))["pending_report"]
    unit = done(head.get("/units", hardware_number=ready.hardware[broken]))["items"][0]["id"]
    done(head.post(f"/units/{unit}/break", {"reason": "layar retak"}))
    former = made[broken]["manifest"]["id"]
    rotate(world, "manifest-sign", act="compromise")
    assert "sedang diterbitkan" in page(world, f"/manifest/{former}")
    assert (carried(world), carried(world)) == (4, 0)
    outcomes = "SELECT c.uid, k.outcome FROM reissue_card k JOIN card c ON c.id = k.card_id"
    assert dict(world.sql(outcomes)) == {far: "carried", reported: "carried", broken: "passed_over", plain: "carried"}
    listed = page(world, "/manifest/terbit-ulang")
    assert all(words in listed for words in ("4 kartu", "Mesin rusak", "Kunci yang menandatangani manifest lama ditarik"))
    assert "Mesin rusak" in page(world, f"/manifest/{former}")
    assert ("manifests_carried", "3") in [(one["task"], one["title"]) for one in done(head.get("/notices"))["items"]]

    # The place is that of the activation in which it was stated: its review goes on, and suspends the card that was carried since.
    done(operator.post(f"/activations/{made[far]['id']}/review", {"decision": "rejected", "note": "tidak sesuai surat"}))
    [place] = done(head.get("/place-suspensions"))["items"]
    done(world.client("penyetuju1").post(f"/place-suspensions/{place['id']}/decision", {"decision": "suspend", "note": "mesin di Bali"}))
    states = "SELECT m.state FROM manifest m JOIN card c ON c.id = m.card_id WHERE c.uid = :uid ORDER BY m.seq"
    assert [row[0] for row in world.sql(states, uid=far)] == ["superseded", "suspended"]
    assert [row[0] for row in world.sql(states, uid=reported)] == ["superseded", "suspended"]
    done(head.post(f"/card-reports/{report}/withdraw", {"note": "keliru"}))
    newest = {uid: done(head.get("/manifests", sam_uid=uid))["items"][0]["id"] for uid in ready.uids}
    assert verdict(world, head.post(f"/manifests/{newest[reported]}/download").get_data()) == "valid"

    # After the repair a new order takes what the first one passed over, and a further key carries what was carried before.
    done(head.post(f"/units/{unit}/repair", {"reason": "layar diganti"}))
    assert "in use" in refused(world, "2")
    assert "issues 1 manifests of manifest-sign anew" in rotate(world, "1", act="reissue")
    assert carried(world) == 1
    rotate(world, "manifest-sign", act="compromise")
    assert carried(world) == 4
    assert {row[0] for row in world.sql("SELECT s.source FROM activation a JOIN activation s ON s.id = a.stated_by")} == {"device"}
    assert findings(world) == []
    for statement in (
        "UPDATE reissue_card SET outcome = 'waiting', new_manifest_id = NULL WHERE outcome = 'carried'",
        "UPDATE reissue SET ended_at = NULL",
        "INSERT INTO reissue SELECT manifest_id, 'x', 'x', 'replaced', 0, at, NULL, act_id FROM activation WHERE source = 'device' LIMIT 1",
        "UPDATE activation SET stated_by = NULL, source = 'map' WHERE source = 'carried'",
        "UPDATE token SET reissue_id = NULL WHERE reissue_id IS NOT NULL",
    ):
        with pytest.raises(IntegrityError):
            world.sql(statement)


def page(world: World, path: str) -> str:
    return Visitor(world, WHO).get(path).get_data(as_text=True)


def refused(world: World, version: str) -> str:
    return str(world.app.test_cli_runner().invoke(args=["hsm", "reissue", version]).exception)


@pytest.mark.long
def test_five_hundred_manifests_are_issued_anew_by_one_act(own_world: World) -> None:
    reissued(own_world, 500, looked_at=500)
    assert findings(own_world) == []
