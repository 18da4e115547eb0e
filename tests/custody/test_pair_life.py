"""The life of keys where there are two HSMs: compromise, closing, and the loss of an HSM for good; one of them away amid each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextlib import closing as closed_at_the_end
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from hsm import HSM, HSMPair
from hsm.keys import SIGNING_PLAN
from manifests import jws
from sifilma.activation.trust import key_checks, keyset
from sifilma.app.chores import CHORES
from sifilma.fsck.run import examine
from sifilma.kernel.unit_of_work import assert_no_transaction
from sifilma.resources import attach, resources
from tests.custody.test_pairing import Twins, _soon, activate, another_key_recorded, call, join, make_twins, twins
from tests.custody.test_reissue import carried, standing
from tests.custody.test_rotation import ROLES, WHO, download, rotate, verdict
from tests.fsck.conftest import installation
from tests.hsm.token_access import within_seconds
from tests.support.databases import Fresh
from tests.support.softhsm import SO_PIN, SoftHSM
from tests.support.world import World, done

__all__ = ["_soon", "make_twins", "twins"]  # fixtures


def act(world: World, *arguments: str) -> str:
    """Return what a command of a custodian that is refused says."""
    world.clock.advance(seconds=31)  # a code counts once
    command = ["hsm", *arguments, "--custodian", "kustodian1"]
    told = world.app.test_cli_runner().invoke(args=command, input=world.code("kustodian1") + "\n")
    assert told.exit_code == 1, told.output
    return str(told.exception)


def labels(token: HSM) -> set[str]:
    return {label for label, _, _ in token.labels()}


def both_back(twins: Twins) -> None:
    within_seconds(15, lambda: not twins.pair.out)
    within_seconds(15, lambda: all(answers(token) for token in twins.pair.tokens))


def answers(token: HSM) -> bool:
    token._health = None
    return token.check().ok


def all_valid(world: World) -> None:
    for row in standing(world):
        assert verdict(world, bytes(world.client(WHO).post(f"/manifests/{row['id']}/download").get_data())) == "valid"


def test_a_compromised_key_falls_on_both_hsms_and_is_closed_on_both(twins: Twins, tmp_path: Path) -> None:
    world, pair, first = twins.world, twins.pair, twins.pair.tokens[0]
    join(world, tmp_path / "ceremony.json")
    world.configure(master_version=2)
    ready = world.ready(count=4)
    active = [done(activate(world, ready, uid), 201) for uid in ready.uids[:2]]
    with another_key_recorded(pair, first.recorded()["token-mac-v2"]):
        active.append(done(activate(world, ready, ready.uids[2]), 201))
    both_back(twins)
    kids = {jws.thumbprint(token.public_key("manifest-sign")) for token in pair.tokens}
    assert {kid for (kid,) in world.sql("SELECT kid FROM manifest")} == kids  # each HSM signs by a key of its own
    bodies, before = [download(world, one) for one in active], keyset.load(world.settings).keyset.version

    with twins.stores["b"].away():  # a successor is made on both, or on none: nothing is revoked, and everything goes on
        told = act(world, "compromise", "manifest-sign")
        assert ("Token b does not answer" in told, "fall with it" in told) == (True, False)
        assert "manifest-sign-v2" not in labels(first)
        assert (keyset.load(world.settings).keyset.version, key_checks.versions(world.settings).get("manifest-sign", 1)) == (before, 1)
        assert verdict(world, bodies[0]) == "valid"
    both_back(twins)

    told = rotate(world, "manifest-sign", act="compromise")
    assert "3 manifests in force fall with it; the worker issues 3 of them anew" in told
    held = keyset.load(world.settings).keyset
    assert (held.version, {key.kid for key in held.keys if key.revoked_at is not None}) == (before + 2, kids)
    assert {verdict(world, body).partition(":")[0] for body in bodies} == {"revoked-key"}
    record = key_checks.load_record(world.settings)
    assert record.of("a")["manifest-sign-v2"].check != record.of("b")["manifest-sign-v2"].check
    with twins.stores["a"].away():  # the second one issues them, by its own successor
        assert sum(iter(partial(carried, world), 0)) == 3
    both_back(twins)
    assert len(standing(world)) == 3
    done(activate(world, ready, ready.uids[3]), 201)
    kids = {jws.thumbprint(token.public_key("manifest-sign")) for token in pair.tokens}
    assert {kid for (kid,) in world.sql("SELECT kid FROM manifest WHERE state = 'active'")} == kids
    all_valid(world)

    closed_on_both(twins)
    all_valid(world)
    assert [str(found) for found in examine(installation(world)).findings] == []


def closed_on_both(twins: Twins) -> None:
    """Close keys while the second HSM is away, see that they are told as left there, and close them to the end."""
    world, pair, first = twins.world, twins.pair, twins.pair.tokens[0]
    for role, version in (("manifest-sign", "1"), ("token-mac", "1")):  # each HSM's own key; one that the first one has alone
        with twins.stores["b"].away():
            refused = act(world, "close", role, version)
        assert "not destroyed everywhere (token b does not answer" in refused
        assert role in key_checks.load_record(world.settings).closed
        assert role not in labels(first)
        both_back(twins)
        told = call(world, "keys").output
        assert ("it is closed, and on this token still: `sifilma hsm close manifest-sign 1` destroys it" in told) is (role != "token-mac")
        assert "is destroyed" in rotate(world, role, version, act="close")
    assert "token-mac-v3" in rotate(world, "token-mac")
    assert "is destroyed" in rotate(world, "token-mac", "2", act="close")  # one that both hold
    for token in pair.tokens:
        assert labels(token) & {"manifest-sign", "token-mac", "token-mac-v2", "transport"} == set()
    assert pair.read_back() == {}
    shown = call(world, "keys")
    assert (shown.exit_code, "closed: token-mac-v2" in shown.output) == (0, True), shown.output


def use_these(world: World, signing: HSM, **settings: object) -> None:
    """Have the installation use other HSMs, as after a start with other settings."""
    world.configure(**settings)
    world.hsm = signing
    attach(world.app, replace(resources(world.app), hsm=signing))
    key_checks.attach(world.settings, signing)


def test_the_second_hsm_goes_on_alone_when_the_first_is_lost_and_a_third_takes_its_place(
    twins: Twins, tmp_path: Path, root_token: HSM
) -> None:
    """The first HSM was stolen: its keys are revoked without it."""
    world = twins.world
    join(world, tmp_path / "ceremony.json")
    world.configure(master_version=2)
    ready = world.ready(count=3)
    stolen = done(activate(world, ready, ready.uids[0]), 201)
    kid = jws.thumbprint(twins.pair.tokens[0].public_key("manifest-sign"))
    body = download(world, stolen)
    twins.pair.close()
    with twins.stores["a"].away(), closed_at_the_end(HSM(twins.stores["b"].config("b"), assert_no_transaction)) as alone:
        use_these(world, alone, hsm_token="b", second_hsm_token="")
        shown = call(world, "keys")
        assert shown.exit_code == 0, shown.output
        assert "sam-master-v1    not on this token: cards of this version are issued by a only" in shown.output
        assert "1 manifests in force fall" in rotate(world, "manifest-sign", act="compromise")
        assert kid in {key.kid for key in keyset.load(world.settings).keyset.keys if key.revoked_at is not None}
        assert verdict(world, body).startswith("revoked-key")
        assert carried(world) == 1
        done(activate(world, ready, ready.uids[1]), 201)
        all_valid(world)
        record = key_checks.load_record(world.settings)
        assert (record.token, set(record.others), "manifest-sign" in record.of("a")) == ("b", {"a"}, True)
        assert alone.read_back() == {}

        store = SoftHSM(tmp_path / "c", apart=True)
        third = HSM(store.config("c"), assert_no_transaction)
        with closed_at_the_end(HSMPair(alone, third)) as pair:
            use_these(world, pair, second_hsm_token="c", hsm_so_pin=SecretStr(SO_PIN), second_hsm_so_pin=SecretStr(SO_PIN))
            assert "SIFILMA_MASTER_VERSION=3" in join(world, tmp_path / "third.json")
            record = key_checks.load_record(world.settings)
            assert set(record.of("c")) == {
                *(plan.label for plan in SIGNING_PLAN if plan.label.endswith(("-sign", "-test")) and plan.label != "manifest-sign"),
                *("manifest-sign-v2", "token-mac-v3", "seal-kek-v3", "sam-master-v3"),
            }
            assert "manifest-sign" in record.of("a")
            done(activate(world, ready, ready.uids[2]), 201)
            assert call(world, "keys").exit_code == 0
            assert pair.read_back() == {}
    all_valid(world)


def test_a_token_that_no_record_knows_is_not_recorded_by_the_way(twins: Twins, tmp_path: Path, softhsm: SoftHSM) -> None:
    world = twins.world
    join(world, tmp_path / "ceremony.json")
    stranger = softhsm.token("stranger", SIGNING_PLAN, assert_no_transaction)
    use_these(world, stranger, hsm_token="stranger", second_hsm_token="")
    assert "another token: no key of stranger is recorded" in act(world, "rotate", "status-sign")
    assert key_checks.load_record(world.settings).token == "a"


@pytest.mark.long
def test_every_key_is_rotated_on_both_hsms_amid_several_clients(
    make_twins: Callable[[Fresh], AbstractContextManager[Twins]], inhabited_postgresql: Fresh, tmp_path: Path
) -> None:
    with make_twins(inhabited_postgresql) as twins:
        world, statuses, over = twins.world, list[int](), threading.Event()
        join(world, tmp_path / "ceremony.json")
        world.configure(master_version=2)
        ready = world.ready(count=400)
        waiting = list(ready.uids)

        def client() -> None:
            while waiting and not over.is_set():
                statuses.append(activate(world, ready, waiting.pop()).status_code)

        clients = [threading.Thread(target=client) for _ in range(4)]
        for one in clients:
            one.start()
        try:
            for role in (*ROLES, "sam-master"):
                assert f"{role}-v" in rotate(world, role)
        finally:
            over.set()
            for one in clients:
                one.join()
        print(f"{len(statuses)} activations amid {len(ROLES) + 1} rotations")
        assert set(statuses) == {201}
        assert key_checks.versions(world.settings) == {role: 3 if role in ("token-mac", "seal-kek") else 2 for role in ROLES}
        with world.app.app_context():
            while CHORES["data keys sealed anew"].run():
                pass
        done(activate(world, ready, waiting.pop()), 201)  # its token was made before
        with twins.stores["a"].away():  # and the other HSM opens and checks what this one made amid it
            done(activate(world, ready, waiting.pop()), 201)
        both_back(twins)
        all_valid(world)
        assert twins.pair.read_back() == {}
        assert [str(found) for found in examine(installation(world)).findings] == []
