"""The public trust files: keyset, JWKS and certificates."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from hsm import HSM
from hsm.keys import SIGNING_PLAN
from manifests.keyset import verify_keyset
from sifilma.activation.trust import keyset
from sifilma.kernel.errors import Unavailable
from tests.support import programs
from tests.support.softhsm import SoftHSM
from tests.support.world import START, World


def fetch(world: World, path: str) -> bytes:
    response = world.app.test_client(use_cookies=False).get(path)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    return response.get_data()


def test_the_keyset_names_one_use_for_each_key(sqlite_world: World) -> None:
    published = verify_keyset(fetch(sqlite_world, "/.well-known/sam-keyset.jws"), sqlite_world.trust.pin)
    assert sorted(key.use for key in published.keys) == ["audit", "document", "manifest", "status"]
    assert (published.version, published.epoch) == (1, 1)
    jwks = json.loads(fetch(sqlite_world, "/.well-known/jwks.json"))
    assert {key["kid"] for key in jwks["keys"]} == {key.kid for key in published.keys}


def test_a_manifest_of_a_node_whose_clock_is_behind_the_ceremonys_is_not_refused_for_ever(sqlite_world: World) -> None:
    """Readers compare `iat` with its key's period exactly, so the period must begin before any clock of the installation."""
    began = int((START - timedelta(minutes=5)).timestamp())
    assert {key.nbf for key in sqlite_world.trust.keyset.keys} == {began}


def test_openssl_verifies_the_chain_from_root_to_signer(sqlite_world: World, tmp_path: Path) -> None:
    for name in ("root", "manifest-sign", "status-sign", "audit-sign", "document-sign"):
        (tmp_path / name).write_bytes(fetch(sqlite_world, f"/.well-known/sam-{name}.crt"))
        command = [programs.program("openssl"), "verify", "-x509_strict", "-CAfile", str(tmp_path / "root"), str(tmp_path / name)]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().endswith(": OK")
    assert sqlite_world.app.test_client().get("/.well-known/sam-other.crt").status_code == 404


def test_publishing_again_changes_nothing(sqlite_world: World, root_token: HSM) -> None:
    again = keyset.publish(sqlite_world.settings, sqlite_world.hsm, root_token, START)
    assert again.file == sqlite_world.trust.file


def test_a_new_key_makes_the_next_keyset_version_and_the_old_key_stays(sqlite_world: World, root_token: HSM, softhsm: SoftHSM) -> None:
    other = softhsm.token("sifilma-next", SIGNING_PLAN)
    published = keyset.publish(sqlite_world.settings, other, root_token, START)
    assert published.keyset.version == 2
    old = {key.kid for key in sqlite_world.trust.keyset.keys}
    assert old < {key.kid for key in published.keyset.keys}
    assert published.kid(other, "manifest-sign", "manifest") not in old
    assert published.kid(sqlite_world.hsm, "manifest-sign", "manifest") in old  # both keys are valid while machines change to the new one


def test_a_keyset_that_the_pinned_root_did_not_sign_is_refused(sqlite_world: World) -> None:
    path = sqlite_world.settings.trust / "root.sha256"
    pin = path.read_text()
    path.write_text("0" * 64)
    (sqlite_world.settings.trust / "sam-keyset.jws").write_bytes(
        sqlite_world.trust.file + b"\n"
    )  # its time has changed, so it is read again
    with pytest.raises(Unavailable, match="hsm init"):
        keyset.load(sqlite_world.settings)
    refused = sqlite_world.app.test_client().get("/.well-known/sam-keyset.jws")
    assert refused.status_code == 503
    path.write_text(pin)


def test_a_key_outside_the_keyset_signs_nothing(sqlite_world: World, softhsm: SoftHSM) -> None:
    stranger = softhsm.token("sifilma-stranger", SIGNING_PLAN)
    with pytest.raises(Unavailable, match="publish a keyset"):
        sqlite_world.trust.kid(stranger, "manifest-sign", "manifest")
