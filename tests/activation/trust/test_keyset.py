"""The public trust files: keyset, JWKS and certificates."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from config.settings import SettingsError
from hsm import HSM, HSMKeyChanged, KeyKind, ceremony
from hsm.keys import SIGNING_PLAN, master_plan
from hsm.records import GENERATED, METHODS
from manifests.encoding import b64url, from_b64url
from manifests.keyset import verify_keyset
from sifilma.activation.trust import ceremonies, key_checks, keyset
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
    other = softhsm.token("sifilma-next", [plan for plan in SIGNING_PLAN if plan.kind is KeyKind.EC_SIGN])
    with pytest.raises(HSMKeyChanged, match="audit-sign, document-sign, health-test, manifest-sign"):
        keyset.publish(sqlite_world.settings, other, root_token, START)  # a key that was recorded is not exchanged by the way
    (sqlite_world.settings.trust / key_checks.FILE).unlink()
    published = keyset.publish(sqlite_world.settings, other, root_token, START)
    assert published.keyset.version == 2
    old = {key.kid for key in sqlite_world.trust.keyset.keys}
    assert old < {key.kid for key in published.keyset.keys}
    assert published.kid(other, "manifest-sign", "manifest") not in old
    assert published.kid(sqlite_world.hsm, "manifest-sign", "manifest") in old  # both keys are valid while machines change to the new one


def test_what_the_witness_has_seen_is_not_forgotten_with_home_and_database(sqlite_world: World, root_token: HSM, tmp_path: Path) -> None:
    """Home and database are put back from one backup: they agree with each other, and the witness knows better."""
    world, witness = sqlite_world, tmp_path / "witness"
    witness.mkdir()
    settings = world.settings.model_copy(update={"witness": str(witness)})
    before = shutil.copytree(settings.trust, tmp_path / "backup" / "trust").parent
    document = next(key.kid for key in world.trust.keyset.keys if key.use == "document")
    with world.context() as ctx:
        ceremonies.record_ceremony(ctx, settings, world.trust)
    assert keyset.revoke(settings, root_token, [document], START).keyset.version == 2
    assert json.loads((witness / keyset.WITNESS).read_text()) == {"root": world.trust.pin, "version": 2, "epoch": 1}
    with world.context() as ctx:  # the database has no entry of it
        with pytest.raises(SettingsError, match="knows version 1 of the keyset, and the witness has seen 2"):
            ceremonies.require_database(ctx.session, settings)
        ceremonies.require_database(ctx.session, settings, mends=True)
        ceremonies.record_ceremony(ctx, settings, keyset.load(settings))
        ceremonies.require_database(ctx.session, settings)
    restored = settings.model_copy(update={"home": before})
    with pytest.raises(Unavailable) as refused:
        keyset.load(restored)
    assert "version 1 of the keyset is older than 2" in str(refused.value.__cause__)
    (witness / keyset.WITNESS).write_text(json.dumps({"root": world.trust.pin, "version": 1, "epoch": 2}))
    with pytest.raises(Unavailable) as refused:
        keyset.load(restored)
    assert "epoch 1 of the keyset is older than 2" in str(refused.value.__cause__)
    (witness / keyset.WITNESS).write_text("{")
    with pytest.raises(Unavailable, match="witness cannot be read"):
        keyset.load(restored)
    shutil.rmtree(witness)  # the disk is away: what is known otherwise counts, and the log says so
    assert keyset.load(restored).keyset.version == 1


def test_no_keyset_is_published_for_a_token_whose_secret_keys_are_others(sqlite_world: World, root_token: HSM, softhsm: SoftHSM) -> None:
    before = sqlite_world.trust.file
    with pytest.raises(HSMKeyChanged, match="sam-master-v1, seal-kek, status-sign, token-mac"):
        keyset.publish(sqlite_world.settings, softhsm.token("sifilma-other", SIGNING_PLAN), root_token, START)
    assert keyset.load(sqlite_world.settings).file == before
    assert key_checks.load(sqlite_world.settings).keys() == {plan.label for plan in SIGNING_PLAN}


def test_the_record_says_what_every_key_is_and_the_root_signs_it(sqlite_world: World) -> None:
    record = key_checks.load_record(sqlite_world.settings)
    assert (record.version, len(record.keys)) == (1, len(SIGNING_PLAN))
    for one in record.keys.values():
        assert one.attributes["MODIFIABLE"] is False
        assert (one.origin, one.attributes["EXTRACTABLE"], one.method) == (GENERATED, False, METHODS[KeyKind[one.kind]])
    assert record.keys["manifest-sign"].form == {"KEY_TYPE": "EC", "EC_PARAMS": "06082a8648ce3d030107"}
    assert record.keys["token-mac"].form == {"KEY_TYPE": "GENERIC_SECRET", "VALUE_LEN": "32"}
    path = sqlite_world.settings.trust / key_checks.FILE
    header, payload, signature = path.read_text().split(".")
    told = json.loads(from_b64url(payload.encode()))
    told["keys"][0]["check"] = "0" * 64
    path.write_text(".".join((header, b64url(json.dumps(told).encode()), signature)))
    with pytest.raises(HSMKeyChanged, match=f"{key_checks.FILE} cannot be used"):
        key_checks.load(sqlite_world.settings)


def test_check_values_from_before_are_compared_until_the_keys_are_recorded(sqlite_world: World, root_token: HSM) -> None:
    settings, known = sqlite_world.settings, key_checks.load(sqlite_world.settings)
    (settings.trust / key_checks.FILE).unlink()
    values = {label: known[label].check for label in ("token-mac", "seal-kek", "sam-master-v1")}
    (settings.trust / key_checks.CHECKS).write_text(json.dumps(values | {"seal-kek": "0" * 16}))
    assert sqlite_world.hsm.read_back() == {"seal-kek": "another key than that of the ceremony"}
    with pytest.raises(HSMKeyChanged, match="seal-kek"):
        keyset.publish(settings, sqlite_world.hsm, root_token, START)
    (settings.trust / key_checks.CHECKS).write_text(json.dumps(values))
    keyset.publish(settings, sqlite_world.hsm, root_token, START)
    assert key_checks.load(settings) == known
    assert sqlite_world.hsm.read_back() == {}


def test_a_new_master_key_is_recorded_beside_the_first(sqlite_world: World, root_token: HSM, softhsm: SoftHSM, tmp_path: Path) -> None:
    token = softhsm.token("sifilma-grows", SIGNING_PLAN)
    settings = sqlite_world.settings.model_copy(update={"home": tmp_path / "grows"})
    keyset.publish(settings, token, root_token, START)
    first = dict(key_checks.load(settings))
    ceremony.create_keys(token, [master_plan(2)])
    keyset.publish(settings, token, root_token, START)
    second = dict(key_checks.load(settings))
    assert second.pop("sam-master-v2") not in first.values()
    assert second == first


def test_check_values_that_cannot_be_read_stop_the_secret_keys(sqlite_world: World) -> None:
    (sqlite_world.settings.trust / key_checks.FILE).write_text("{")
    told: Any = sqlite_world.app.test_client().get("/readyz")
    assert (told.status_code, told.json["checks"]["hsm"]["ok"]) == (503, False)


def test_a_keyset_that_the_pinned_root_did_not_sign_is_refused(sqlite_world: World) -> None:
    path = sqlite_world.settings.trust / "root.sha256"
    pin = path.read_text()
    path.write_text("0" * 64)
    (sqlite_world.settings.trust / "sam-keyset.jws").write_bytes(
        sqlite_world.trust.file + b"\n"
    )  # its time has changed, so it is read again
    with pytest.raises(Unavailable, match="key ceremony"):
        keyset.load(sqlite_world.settings)
    refused = sqlite_world.app.test_client().get("/.well-known/sam-keyset.jws")
    assert refused.status_code == 503
    path.write_text(pin)


def test_a_key_outside_the_keyset_signs_nothing(sqlite_world: World, softhsm: SoftHSM) -> None:
    stranger = softhsm.token("sifilma-stranger", SIGNING_PLAN)
    with pytest.raises(Unavailable, match="publish a keyset"):
        sqlite_world.trust.kid(stranger, "manifest-sign", "manifest")
