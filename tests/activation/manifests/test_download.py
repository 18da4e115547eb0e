"""Only the holder downloads the manifest's file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey
from sqlalchemy.exc import IntegrityError

from manifests.verifier import Expectations, verify
from sifilma.activation.tokens import sealing
from tests.activation.conftest import verified
from tests.audit.row_changes import past_the_triggers
from tests.cards.unit_keys import register_key
from tests.support.simultaneous_calls import start_in_background
from tests.support.world import World, done


def test_the_holder_gets_one_ascii_line_named_after_card_and_sequence(world: World) -> None:
    ready, answers = world.active()
    response = world.client("magetan.staf").post(f"/manifests/{answers[0]['manifest']['id']}/download")
    assert response.status_code == 200
    assert response.content_type == "application/jose"
    assert f'filename="{ready.uids[0]}-1.jws"' in response.headers["Content-Disposition"]
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.get_data().isascii()
    assert b"\n" not in response.get_data()
    assert verified(world, response.get_data()).sub == ready.uids[0]


def test_nobody_but_the_holder_gets_the_file(world: World) -> None:
    _, answers = world.active()
    path = f"/manifests/{answers[0]['manifest']['id']}/download"
    for name in ("operator1", "penyetuju1", "auditor1"):
        assert world.client(name).post(path).status_code == 403, name
    for name in ("bangli.kepala", "jatim.kepala"):
        assert world.client(name).post(path).status_code == 404, name
    assert world.client("magetan.kepala", fresh=False).post(path).json["type"].endswith("step-up-required")
    assert world.client("magetan.kepala").get(path).status_code == 405  # a GET never returns it
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'manifest.download'")[0][0] == 0


def test_the_metadata_do_not_contain_the_body(world: World) -> None:
    ready, answers = world.active()
    for name in ("operator1", "auditor1", "magetan.kepala"):
        shown = done(world.client(name).get("/manifests", sam_uid=ready.uids[0]))["items"]
        assert [item["id"] for item in shown] == [answers[0]["manifest"]["id"]]
        assert not {"body", "sealed_body", "conf", "jws"} & set(shown[0])
    assert (
        done(world.client("jatim.kepala").get("/manifests", sam_uid=ready.uids[0]))["items"] == []
    )  # a province sees only its own manifests


def test_the_body_is_sealed_in_the_database(world: World) -> None:
    world.active()
    sealed = bytes(world.sql("SELECT sealed_body FROM manifest")[0][0])
    assert b"eyJ" not in sealed


def test_an_api_key_gets_the_file_only_as_a_jwe_for_the_units_key(world: World) -> None:
    private = ECKey.generate_key("P-256", private=True)
    ready = world.institution_ready()
    uid, bank = ready.uids[0], world.machine("BANK MANDIRI")
    answer = done(bank.post("/activations", world.activation(ready, uid)), 201)
    path = f"/manifests/{answer['manifest']['id']}/download"
    assert bank.post(path).json["type"].endswith("no-public-key")
    jwk = ECKey.import_key(private.as_dict(private=False)).as_dict(private=False)
    register_key(world, ready.hardware[uid], jwk)
    response = bank.post(path)
    assert response.status_code == 200
    assert response.get_data().count(b".") == 4  # a compact JWE has five parts
    opened = jwe.decrypt_compact(response.get_data().decode(), private).plaintext
    assert opened is not None
    assert verify(opened, Expectations(world.trust.pin, world.trust.file, int(world.clock.now().timestamp()))).valid
    assert bank.post(path, {"form": "jws"}).get_data().count(b".") == 4
    assert world.client("mandiri.kepala").post(path, {"form": "jwe"}).get_data().count(b".") == 4
    assert world.client("mandiri.kepala").post(path).get_data().count(b".") == 2


def test_a_file_is_not_encrypted_to_a_key_that_came_past_the_service(world: World) -> None:
    ready, answers = world.active()
    register_key(world, ready.hardware[ready.uids[0]], ECKey.generate_key("P-256").as_dict(private=False), "magetan.staf", "magetan.kepala")
    client, path = world.client("magetan.kepala"), f"/manifests/{answers[0]['manifest']['id']}/download"
    assert client.post(path, {"form": "jwe"}).status_code == 200
    past_the_triggers(world, "UPDATE unit SET public_jwk = :jwk", jwk=json.dumps(ECKey.generate_key("P-256").as_dict(private=False)))
    refused = client.post(path, {"form": "jwe"})
    assert (refused.status_code, refused.json["type"].rpartition(":")[2]) == (409, "row-differs")
    assert client.post(path, {"form": "jwe"}).status_code == 409
    assert world.sql("SELECT kind, fault FROM row_finding") == [("unit", "changed")]
    assert client.post(path, {"form": "jws"}).status_code == 200


def test_a_private_key_is_refused_as_the_key_of_a_unit(world: World) -> None:
    private = ECKey.generate_key("P-256", private=True).as_dict(private=True)
    body = {"hardware_number": "KEY-1", "model": "LEN-CRD-1", "function": "R", "public_jwk": private}
    refused = world.client("magetan.kepala").post("/units", body)
    assert refused.json["errors"][0]["field"].endswith("public_jwk")
    assert private["d"] not in refused.get_data(as_text=True)


def test_the_file_of_a_manifest_that_is_not_active_is_refused(world: World) -> None:
    ready, answers = world.active()
    client = world.client("magetan.kepala")
    done(client.post(f"/cards/{ready.uids[0]}/reports", {"condition": "lost", "note": "hilang di jalan"}))
    refused = client.post(f"/manifests/{answers[0]['manifest']['id']}/download")
    assert refused.status_code == 409


def test_the_file_of_a_manifest_revoked_during_the_download_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ready, answers = world.active()
    client, opened = world.client("magetan.kepala"), sealing.open_sealed

    def lost_meanwhile(*given: Any) -> bytes:
        body = {"condition": "lost", "note": "hilang di jalan"}
        done(start_in_background(lambda: client.post(f"/cards/{ready.uids[0]}/reports", body))())
        return opened(*given)

    monkeypatch.setattr(sealing, "open_sealed", lost_meanwhile)
    assert client.post(f"/manifests/{answers[0]['manifest']['id']}/download").status_code == 409
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'manifest.download'")[0][0] == 0


def test_the_database_refuses_an_exchange_of_bodies(world: World) -> None:
    world.active(count=2)
    body = bytes(world.sql("SELECT sealed_body FROM manifest ORDER BY id LIMIT 1")[0][0])
    with pytest.raises(IntegrityError):
        world.sql("UPDATE manifest SET sealed_body = :body", body=body)
