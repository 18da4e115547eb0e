"""A compromised key's manifests are issued anew by one act: same card, machine, place and end; nobody asks, and no token is seen."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from manifests.jws import split
from manifests.payload import Manifest as Payload
from sifilma.app.audit_commands import keep_log
from sifilma.app.command_groups import CARRIED, JOBS
from sifilma.fsck.run import examine
from tests.custody.test_rotation import WHO, download, own_world, rotate, verdict
from tests.fsck.conftest import installation
from tests.support.world import World, done

__all__ = ["own_world"]  # a fixture


def said(line: bytes) -> Payload:
    return Payload.from_bytes(split(line, "sam-manifest+jws").payload)


def carried(world: World) -> int:
    with world.app.app_context():
        return JOBS[CARRIED].run()


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


def reissued(world: World, count: int) -> None:
    _, active = world.active(function="R", count=count)
    before = {one["manifest"]["id"]: said(download(world, one)) for one in active}
    rotate(world, "manifest-sign", act="compromise")
    while carried(world):
        pass
    rows = standing(world)
    assert len(rows) == count
    for row in rows:
        line = world.client(WHO).post(f"/manifests/{row['id']}/download").get_data()
        assert verdict(world, line) == "valid"
        new, old = said(line), before[row["reissue"]["replaces"]]
        for name in ("sub", "fn", "unit", "org", "loc", "card", "cfg", "exp", "grace"):
            assert getattr(new, name) == getattr(old, name), name
        assert (new.seq, row["reissue"]["cause"]) == (old.seq + 1, "compromised")


def test_manifests_of_a_compromised_key_are_issued_anew(own_world: World) -> None:
    world = own_world
    reissued(world, 20)
    assert carried(world) == 0
    assert findings(world) == []
    made = done(world.client(WHO).get(f"/activations/{standing(world)[0]['activation']}"))
    assert (made["source"], made["review"]["state"]) == ("carried", "none")
    assert made["stated_by"] is not None


@pytest.mark.long
def test_five_hundred_manifests_are_issued_anew_by_one_act(own_world: World) -> None:
    reissued(own_world, 500)
    assert findings(own_world) == []
