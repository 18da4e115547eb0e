"""Many manifests in one ZIP: each recorded, only active ones packed, only for the holder, and a program gets JWEs alone."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from manifests.verifier import Expectations, verify
from sifilma.activation.archives import service
from tests.activation.conftest import verified
from tests.cards.unit_keys import register_key
from tests.documents.files import table_lines
from tests.support.visitor import Visitor
from tests.support.world import World, done

OFFICE = "magetan.kepala"
DOWNLOADS = "SELECT COUNT(*) FROM audit_entry WHERE action = 'manifest.download'"


def opened(response: Any) -> zipfile.ZipFile:
    """Return the ZIP of an answer, each of its files whole."""
    assert (response.status_code, response.content_type) == (200, "application/zip"), response.get_data(as_text=True)
    packed = zipfile.ZipFile(io.BytesIO(response.get_data()))
    assert packed.testzip() is None
    return packed


def test_a_request_gives_its_active_manifests_with_an_index_and_each_is_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "AT_ONCE", 2)  # several groups
    ready, _ = world.active(count=3)
    world.active("bangli.kepala", "R")
    done(world.client(OFFICE).post(f"/cards/{ready.uids[2]}/reports", {"condition": "locked", "note": "PIN salah"}))
    packed = opened(Visitor(world, OFFICE).send("/manifest/arsip", permohonan=ready.request))
    kept = ready.uids[:2]
    assert sorted(packed.namelist()) == sorted(["BACA-DAHULU.txt", "index.csv", *(f"{uid}-1.jws" for uid in kept)])
    assert [verified(world, packed.read(f"{uid}-1.jws")).sub for uid in kept] == kept
    assert f"--root-sha256 {world.trust.pin}" in packed.read("BACA-DAHULU.txt").decode()
    lines = {line["Kartu SAM"]: line for line in table_lines(packed.read("index.csv"))}
    assert {uid: line["Status"] for uid, line in lines.items()} == dict.fromkeys(kept, "Aktif") | {ready.uids[2]: "Dicabut"}
    assert {line["SHA-256"] for line in lines.values()} == {"", *(hashlib.sha256(packed.read(f"{uid}-1.jws")).hexdigest() for uid in kept)}
    assert [lines[uid]["Mesin"] for uid in kept] == [ready.hardware[uid] for uid in kept]
    assert world.sql(DOWNLOADS)[0][0] == 2


def test_nobody_but_the_holder_with_a_fresh_code_gets_an_archive(sqlite_world: World) -> None:
    world = sqlite_world
    ready, _ = world.active()
    body = {"activation_request": ready.request}
    for name in ("operator1", "penyetuju1", "auditor1"):
        assert world.client(name).post("/manifests/archive", body).status_code == 403, name
    assert world.client("bangli.kepala").post("/manifests/archive", body).status_code == 404
    assert world.client("bangli.kepala").post("/manifests/archive", {}).json["type"].endswith("no-manifests")
    assert world.client(OFFICE, fresh=False).post("/manifests/archive", body).json["type"].endswith("step-up-required")
    assert world.sql(DOWNLOADS)[0][0] == 0
    assert len(opened(world.client(OFFICE).post("/manifests/archive", {"sam_uid": ready.uids[0]})).namelist()) == 3


def test_a_program_gets_jwes_alone_and_a_person_both(world: World) -> None:
    private = ECKey.generate_key("P-256", private=True)
    ready = world.institution_ready()
    (uid,), bank = ready.uids, world.machine("BANK MANDIRI")
    done(bank.post("/activations", world.activation(ready, uid)), 201)
    assert bank.post("/manifests/archive", {}).json["type"].endswith("no-manifests")
    register_key(world, ready.hardware[uid], ECKey.import_key(private.as_dict(private=False)).as_dict(private=False))
    packed = opened(bank.post("/manifests/archive", {}))
    assert {name for name in packed.namelist() if name.startswith(uid)} == {f"{uid}-1.jwe"}
    line = jwe.decrypt_compact(packed.read(f"{uid}-1.jwe").decode(), private).plaintext
    assert line is not None
    assert verify(line, Expectations(world.trust.pin, world.trust.file, int(world.clock.now().timestamp()))).valid
    both = opened(world.client("mandiri.kepala").post("/manifests/archive", {"activation_request": ready.request}))
    assert both.read(f"{uid}-1.jws") == line
    assert {name for name in both.namelist() if name.startswith(uid)} == {f"{uid}-1.jwe", f"{uid}-1.jws"}


def test_more_manifests_than_are_sent_at_once_are_left_to_the_worker_and_none_is_recorded_yet(sqlite_world: World) -> None:
    sqlite_world.active(count=2)
    sqlite_world.configure(direct_manifests=1)
    asked = sqlite_world.client(OFFICE).post("/manifests/archive", {})
    assert (asked.status_code, asked.json["state"]) == (202, "queued")
    assert sqlite_world.sql("SELECT kind, state FROM own_file") == [("manifests", "queued")]
    assert sqlite_world.sql(DOWNLOADS)[0][0] == 0
