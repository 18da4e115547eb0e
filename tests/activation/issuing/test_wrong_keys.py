"""A token with wrong secret keys is not the user's mistake: nothing is counted, nothing is signed, and everybody is told what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hsm import HSM, ceremony
from hsm.keys import SIGNING_PLAN
from sifilma.activation.trust import key_checks
from sifilma.kernel.unit_of_work import assert_no_transaction
from tests.hsm.token_access import remove
from tests.support.databases import Fresh
from tests.support.softhsm import SoftHSM
from tests.support.world import API, World

WRONG = "urn:sifilma:problem:hsm-wrong-key"


@pytest.fixture
def own_world(inhabited_sqlite: Fresh, tmp_path: Path, softhsm: SoftHSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation with a token of its own, whose keys a test may exchange."""
    url = inhabited_sqlite.make()
    token = softhsm.token(f"own-{tmp_path.name[-20:]}", SIGNING_PLAN, assert_no_transaction)
    with closing(World(url, tmp_path / "home", token, root_token)) as world:
        yield world
    inhabited_sqlite.remove(url)


def exchange(world: World, label: str) -> None:
    """Put another key of the same form in the place of a key, as a token set up by mistake would have it."""
    remove(world.hsm, label)
    world.hsm.close()
    ceremony.create_keys(world.hsm, [plan for plan in SIGNING_PLAN if plan.label == label])
    world.hsm.close()  # the library starts anew, as in a process that starts with this token


def answer(act: Callable[[], Any]) -> Any:
    """Return the answer; asked again while the library, which was started a moment ago, is not started again."""
    until = time.monotonic() + 5
    while (found := act()).json.get("type") == "urn:sifilma:problem:hsm-unavailable" and time.monotonic() < until:
        time.sleep(0.2)
    return found


@pytest.mark.parametrize("label", ["token-mac", "sam-master-v1", "seal-kek"])
def test_a_right_token_is_neither_counted_nor_signed_for_with_a_wrong_key(own_world: World, label: str) -> None:
    world = own_world
    ready = world.ready()
    exchange(world, label)
    client = world.client("magetan.kepala")
    for _ in range(6):  # more than the tries a token has
        refused = answer(lambda: client.post("/activations", world.activation(ready, ready.uids[0])))
        assert (refused.status_code, refused.json["type"]) == (503, WRONG)
    assert world.sql("SELECT state, tries FROM token") == [("issued", 0)]
    assert world.sql("SELECT COUNT(*) FROM manifest") == [(0,)]
    told: Any = world.app.test_client().get("/readyz")
    assert (told.status_code, told.json["checks"]["hsm"]["ok"]) == (503, False)
    assert label in told.json["checks"]["hsm"]["last_error"]


def test_a_wrong_master_key_that_was_never_recorded_is_noticed_by_the_card(own_world: World) -> None:
    world = own_world
    ready = world.ready()
    exchange(world, "sam-master-v1")
    (world.settings.trust / key_checks.FILE).unlink()  # an installation from before check values were recorded
    refused = answer(lambda: world.client("magetan.kepala").post("/activations", world.activation(ready, ready.uids[0])))
    assert (refused.status_code, refused.json["type"]) == (503, WRONG)
    assert world.sql("SELECT state, tries FROM token") == [("issued", 0)]
    assert world.sql("SELECT COUNT(*) FROM manifest") == [(0,)]


def test_a_card_personalised_with_another_key_is_refused_alone(own_world: World) -> None:
    world = own_world
    ready = world.ready(count=2)
    wrong, right = ready.uids
    world.sql(f"UPDATE card SET kcv = '000000' WHERE uid = '{wrong}'")
    client = world.client("magetan.kepala")
    refused = client.call("POST", "/activations", json=world.activation(ready, wrong))
    assert (refused.status_code, refused.json["type"]) == (409, "urn:sifilma:problem:card-key")
    assert client.call("POST", "/activations", json=world.activation(ready, right)).status_code == 201, API
    assert world.sql("SELECT COUNT(*) FROM manifest") == [(1,)]
    assert world.sql("SELECT SUM(tries) FROM token") == [(0,)]
