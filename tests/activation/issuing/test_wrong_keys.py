"""A token with wrong secret keys is not the user's mistake: nothing is counted, nothing is signed, and everybody is told what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from pkcs11 import Attribute, KeyType, MechanismFlag
from pkcs11.util.ec import encode_named_curve_parameters

from hsm import HSM, ceremony
from hsm.keys import SIGNING_PLAN
from sifilma.activation.trust import key_checks
from sifilma.kernel.unit_of_work import assert_no_transaction
from tests.hsm.token_access import raw, remove
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


def put_other_curve(token: HSM, label: str) -> None:
    """Put a key on P-384 in the place of a signing key."""
    private = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True, Attribute.SIGN: True}
    curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp384r1")}
    raw(
        token,
        lambda on: on.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(
            label=label, id=b"\x01\x01", store=True, private_template=private
        ),
    )


def test_a_look_in_the_background_finds_each_fault_and_names_the_key(
    inhabited_sqlite: Fresh, tmp_path: Path, softhsm: SoftHSM, root_token: HSM
) -> None:
    token = softhsm.token(f"look-{tmp_path.name[-20:]}", [])
    put_open_mac(token)  # as an installation has it whose keys were made before MODIFIABLE was set
    ceremony.create_keys(token, SIGNING_PLAN)
    with ExitStack() as stack:
        world = stack.enter_context(closing(World(inhabited_sqlite.make(), tmp_path / "home", token, root_token)))
        ready, told, home = world.ready(), list[dict[str, str]](), world.client("operator1")
        token.told = lambda wrong: told.append(dict(wrong))
        stack.callback(token.unwatch)
        token.watch(every=0.1)

        def derive(allowed: bool) -> None:
            raw(token, lambda on: next(iter(on.get_objects({Attribute.LABEL: "token-mac"}))).__setitem__(Attribute.DERIVE, allowed))

        def curve() -> None:
            remove(token, "manifest-sign")
            put_other_curve(token, "manifest-sign")

        faults: list[tuple[Callable[[], object], str, str]] = [
            (lambda: derive(True), "token-mac", "DERIVE is True, not False"),
            (lambda: remove(token, "sam-master-v1"), "sam-master-v1", "missing"),
            (curve, "manifest-sign", "EC_PARAMS is 06052b81040022, not 06082a8648ce3d030107"),
        ]
        for fault, label, what in faults:
            fault()
            within_seconds(5, lambda label=label, what=what: what in token.wrong.get(label, ""))  # type: ignore[misc]  # mypy cannot infer the defaults
            assert any(what in seen.get(label, "") for seen in told)
            refused = answer(lambda: world.client("magetan.kepala").post("/activations", world.activation(ready, ready.uids[0])))
            assert (refused.status_code, refused.json["type"]) == (503, WRONG)
            ready_told: Any = world.app.test_client().get("/readyz")
            assert (ready_told.status_code, f"{label}: {what}" in ready_told.json["checks"]["hsm"]["last_error"]) == (503, True)
            assert label in home.open("GET", "/", headers=home.headers).get_data(as_text=True)
            if label == "token-mac":
                derive(False)
                within_seconds(5, lambda: not token.wrong)  # put right, it works again by itself
        assert world.sql("SELECT state, tries FROM token") == [("issued", 0)]
        assert world.sql("SELECT COUNT(*) FROM manifest") == [(0,)]
        shown = world.app.test_cli_runner().invoke(args=["hsm", "keys"])
        assert shown.exit_code == 1
        assert "FAULTS: no key is called sam-master-v1" in shown.output  # and the keys after it are shown too
        assert "token-mac " in shown.output


def put_open_mac(token: HSM) -> None:
    """Make `token-mac` as it was made before: its attributes can be changed."""
    template = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.DERIVE: False, Attribute.PRIVATE: True}
    template |= {Attribute.ENCRYPT: False, Attribute.DECRYPT: False, Attribute.WRAP: False, Attribute.UNWRAP: False}
    may = MechanismFlag.SIGN | MechanismFlag.VERIFY
    raw(
        token,
        lambda on: on.generate_key(
            KeyType.GENERIC_SECRET, 256, id=b"\x03\x01", label="token-mac", store=True, capabilities=may, template=template
        ),
    )


def within_seconds(seconds: float, holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.02)


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
