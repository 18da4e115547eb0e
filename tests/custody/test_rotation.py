"""Rotation of keys by its command: what was made before stays valid, and nothing is interrupted."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hsm import HSM
from hsm.keys import SIGNING_PLAN
from manifests.verifier import Expectations, verify
from sifilma.activation.trust import key_checks, keyset
from sifilma.app.audit_commands import keep_log
from sifilma.app.chores import CARRIED, CHORES
from sifilma.fsck.run import examine
from sifilma.kernel.unit_of_work import assert_no_transaction
from tests.fsck.conftest import installation
from tests.support.databases import Fresh
from tests.support.softhsm import PIN, SO_PIN, SoftHSM
from tests.support.world import World, done

WHO = "magetan.kepala"
ROLES = ("manifest-sign", "status-sign", "audit-sign", "document-sign", "token-mac", "seal-kek")


@pytest.fixture
def own_world(inhabited_sqlite: Fresh, tmp_path: Path, softhsm: SoftHSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation with a token of its own, which gets further keys."""
    url = inhabited_sqlite.make()
    token = softhsm.token(f"turn-{tmp_path.name[-20:]}", SIGNING_PLAN, assert_no_transaction)
    with closing(World(url, tmp_path / "home", token, root_token)) as world:
        world.configure(root_pin=SecretStr(PIN))
        yield world
    inhabited_sqlite.remove(url)


def rotate(world: World, role: str, *options: str, act: str = "rotate") -> str:
    world.clock.advance(seconds=31)  # a code counts once
    arguments = ["hsm", act, role, "--custodian", "kustodian1", *options]
    told = world.app.test_cli_runner().invoke(args=arguments, input=world.code("kustodian1") + "\n")
    assert told.exit_code == 0, (told.output, told.exception)
    return told.output


def close(world: World, role: str, version: int = 1) -> str:
    """Return why a version of a key is not closed."""
    return str(world.app.test_cli_runner().invoke(args=["hsm", "close", role, str(version)]).exception)


def download(world: World, activation: Any) -> bytes:
    return bytes(world.client(WHO).post(f"/manifests/{activation['manifest']['id']}/download").get_data())


def verdict(world: World, line: bytes) -> str:
    published = keyset.load(world.settings)
    at = int(world.clock.now().timestamp())
    listed = world.anonymous().open("GET", "/status/1.jws").get_data()
    found = verify(line, Expectations(published.pin, published.file, at, listed, min_keyset_version=published.keyset.version))
    return "valid" if found.valid else f"{found.reason}: {found.detail}"


def sound(world: World) -> bool:
    """Whether fsck finds nothing: every manifest, token, sealed body, list, paper and checkpoint is as its key made it."""
    with world.app.app_context():
        keep_log(now=True)
    return [str(found) for found in examine(installation(world)).findings] == []


def rotated_amid(world: World, act: Callable[[], None]) -> None:
    """Rotate every key while somebody acts."""
    others = threading.Thread(target=act)
    others.start()
    for role in (*ROLES, "sam-master"):
        assert f"{role}-v2" in rotate(world, role)
    others.join()
    assert set(key_checks.versions(world.settings).values()) == {2}
    published = keyset.load(world.settings)
    assert (published.keyset.version, len(published.keyset.keys)) == (5, 8)
    world.configure(master_version=2)


def test_every_key_is_rotated_and_what_was_made_before_stays_valid(own_world: World) -> None:
    world = own_world
    before, amid = world.ready(count=12), list[int]()
    first = done(world.client(WHO).post("/activations", world.activation(before, before.uids[0])), 201)
    body = download(world, first)
    with world.app.app_context():
        keep_log(now=True)  # a checkpoint by the first key

    def go_on() -> None:
        for uid in before.uids[1:-1]:
            amid.append(world.client(WHO).post("/activations", world.activation(before, uid)).status_code)
            time.sleep(0.1)

    rotated_amid(world, go_on)
    assert amid == [201] * 10  # nobody notices
    needed = {role: close(world, role) for role in ("token-mac", "seal-kek", "sam-master")}
    waits = "seal-kek is needed: 1 data keys, which the worker has not sealed anew yet"
    cards = "sam-master-v1 is needed: 12 cards that are not destroyed, damaged, locked or revoked"
    assert needed == {"token-mac": "token-mac is needed: 1 open tokens", "seal-kek": waits, "sam-master": cards}

    # A token of before, sealed and authenticated by the first versions, activates its card; the manifest is the new key's.
    second = done(world.client(WHO).post("/activations", world.activation(before, before.uids[-1])), 201)
    kids = [kid for (kid,) in world.sql("SELECT kid FROM manifest ORDER BY id")]
    assert kids[0] != kids[-1] == keyset.load(world.settings).kid(world.hsm, "manifest-sign", "manifest")
    after = world.ready()
    assert world.sql("SELECT length(mac), COUNT(*) FROM token GROUP BY 1 ORDER BY 1") == [(32, 12), (33, 1)]
    wrong = world.client(WHO).post("/activations", world.activation(after, after.uids[0], token="A" * 10))
    assert wrong.json["type"] == "urn:sifilma:problem:token-refused"
    third = done(world.client(WHO).post("/activations", world.activation(after, after.uids[0])), 201)
    assert world.sql("SELECT key_version, COUNT(*) FROM card GROUP BY 1 ORDER BY 1") == [(1, 12), (2, 1)]

    # The worker seals the data keys anew, once; bodies of before open as they did.
    with world.app.app_context():
        assert (CHORES["data keys sealed anew"].run(), CHORES["data keys sealed anew"].run()) == (1, 0)
    assert world.sql("SELECT length(sealed) FROM data_key") == [(62,)]
    assert download(world, first) == body
    assert [verdict(world, download(world, one)) for one in (first, second, third)] == ["valid"] * 3
    assert sound(world)
    assert world.hsm.read_back() == {}
    assert len(world.sql("SELECT 1 FROM audit_entry WHERE action = 'keys.rotate'")) == 7
    closed_and_not_missed(world)
    assert [verdict(world, download(world, one)) for one in (first, second, third)] == ["valid"] * 3
    of_first = kids.count(kids[0])
    assert f"issues {of_first} manifests of manifest-sign anew" in rotate(world, "1", act="reissue")  # the token need not have it
    with world.app.app_context():
        assert CHORES[CARRIED].run() == of_first > 0
    assert sound(world)


def closed_and_not_missed(world: World) -> None:
    """Destroy keys that nothing needs any more: they are not missed, and not made again."""
    shown = world.app.test_cli_runner().invoke(args=["hsm", "keys"]).output
    assert "needed by: nothing, `sifilma hsm close token-mac 1` destroys it" in shown
    gone = {"manifest-sign", "token-mac", "seal-kek"}
    for role in sorted(gone):
        assert "is destroyed" in rotate(world, role, "1", act="close")
    assert {label for label, _, _ in world.hsm.labels()} & gone == set()
    assert world.hsm.read_back() == {}
    assert close(world, "token-mac", 2) == "token-mac-v2 is needed: it is in use"
    world.configure(hsm_so_pin=SecretStr(SO_PIN))
    told = world.app.test_cli_runner().invoke(args=["hsm", "init"])
    assert (told.exit_code, set(key_checks.load_record(world.settings).closed)) == (0, gone), (told.output, told.exception)
    assert world.hsm.read_back() == {}


def test_a_key_is_published_before_it_signs_and_a_new_master_key_is_for_new_cards(own_world: World) -> None:
    world = own_world
    assert "it waits" in rotate(world, "manifest-sign", "--publish-only")
    assert (keyset.load(world.settings).keyset.version, key_checks.versions(world.settings)) == (2, {})
    old = world.ready(function="R")
    done(world.client(WHO).post("/activations", world.activation(old, old.uids[0])), 201)
    assert "it is in use" in rotate(world, "manifest-sign")
    assert keyset.load(world.settings).keyset.version == 2  # the key that waited was taken, and no other made
    assert "SIFILMA_MASTER_VERSION=2" in rotate(world, "sam-master")
    world.configure(master_version=2)
    new = world.ready(function="R")
    done(world.client(WHO).post("/activations", world.activation(new, new.uids[0])), 201)
    assert world.sql("SELECT key_version FROM card ORDER BY id") == [(1,), (2,)]
    assert len({kid for (kid,) in world.sql("SELECT kid FROM manifest")}) == 2
    refused = world.app.test_cli_runner().invoke(args=["hsm", "rotate", "token-mac"])
    assert "1 custodians are needed" in str(refused.exception)
    shown = world.app.test_cli_runner().invoke(args=["hsm", "keys"])
    assert shown.exit_code == 0, shown.output
    assert all(told in shown.output for told in ("sam-master-v2", "in use for manifest-sign: manifest-sign-v2"))


def test_a_compromised_key_is_revoked_and_what_fell_with_it_is_listed(own_world: World) -> None:
    world = own_world
    ready, active = world.active(function="R", count=2)
    waiting = world.ready(function="R")
    bodies = [download(world, one) for one in active]
    told = rotate(world, "manifest-sign", act="compromise")
    assert "2 manifests in force fall with it; the worker issues 2 of them anew" in told
    rows = list(csv.DictReader(told[told.index("sam_uid,") :].splitlines()))
    assert {row["sam_uid"]: row["hardware_number"] for row in rows} == ready.hardware
    assert {verdict(world, body).partition(":")[0] for body in bodies} == {"revoked-key"}
    new = done(world.client(WHO).post("/activations", world.activation(waiting, waiting.uids[0])), 201)
    assert verdict(world, download(world, new)) == "valid"  # the list is still that of the first status key
    assert "status-sign is revoked" in rotate(world, "status-sign", act="compromise")
    assert verdict(world, download(world, new)) == "valid"  # and it is signed anew, though nothing in it has changed
    assert "2 manifests in force" in rotate(world, "manifest-sign", "--version", "1", act="compromise")  # repeated, it revokes no other
    assert verdict(world, download(world, new)) == "valid"
    assert len(world.sql("SELECT 1 FROM audit_entry WHERE action = 'keys.compromise'")) == 3
