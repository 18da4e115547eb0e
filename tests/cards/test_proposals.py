"""Public keys of units: nobody alone, and no program, chooses the key that manifests are encrypted to."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from joserfc.jwk import ECKey
from sqlalchemy.exc import IntegrityError

from sifilma.demo.facts import Account
from sifilma.documents.tables.writing import write_csv
from sifilma.fsck.run import examine
from sifilma.kernel.actor import Role
from tests.fsck.conftest import installation
from tests.support.visitor import english, landed
from tests.support.world import Client, World, done

MODEL = "SOFTORB-CRD-1"


def new_jwk() -> dict[str, Any]:
    return dict(ECKey.generate_key("P-256", private=False).as_dict())


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, str(answer.json["type"]).rpartition(":")[2]


def unit_of(client: Client, number: str) -> dict[str, Any]:
    return dict(done(client.get("/units", hardware_number=number))["items"][0])


def test_a_program_cannot_choose_the_key_its_manifests_are_encrypted_to(world: World) -> None:
    """attack.md 7: a stolen API key registers a unit with a key of its own, and reads what was meant for the unit."""
    machine, head, staff = world.machine("BANK MANDIRI"), world.client("mandiri.kepala"), _colleague(world)
    jwk, body = new_jwk(), {"hardware_number": "MESIN-1", "model": MODEL, "function": "R"}
    made = done(machine.post("/units", body | {"public_jwk": jwk}), 201)
    assert (made["has_public_key"], made["public_key_change"] is not None) == (False, True)
    path = f"/unit-key-changes/{made['public_key_change']}"
    change = done(machine.get(path))
    assert change["state"] == "delivered"
    seen = {"digest": change["digest"]}
    for verb in ("take-up", "approve", "reject"):
        assert machine.post(f"{path}/{verb}", seen).status_code == 403
    assert refused(machine.post(f"{path}/withdraw")) == (403, "not-proposer")
    assert refused(head.post(f"{path}/approve", seen)) == (409, "not-proposed")  # one person is not enough for what a program sent
    done(head.post(f"{path}/take-up", seen))
    assert refused(head.post(f"{path}/approve", seen)) == (403, "four-eyes")
    assert refused(world.client("softorb.kepala").post(f"{path}/approve", seen)) == (403, "forbidden")
    assert world.client("bangli.kepala").post(f"{path}/approve", seen).status_code == 404
    assert not unit_of(head, "MESIN-1")["has_public_key"]
    done(staff.post(f"{path}/approve", seen))
    assert unit_of(head, "MESIN-1") | {"has_public_key": True, "public_key_change": None} == unit_of(head, "MESIN-1")
    supplied = machine.post("/unit-key-changes", {"keys": [{"unit": made["id"], "public_jwk": new_jwk()}]})
    assert done(supplied, 201)["state"] == "delivered"  # a second key is no more the program's to choose than the first
    with pytest.raises(IntegrityError, match=r"two persons|by an act only"):  # either trigger may be the first
        world.sql("UPDATE unit SET public_jwk = :jwk", jwk=json.dumps(new_jwk()))
    with pytest.raises(IntegrityError, match=r"two persons|by an act only"):
        world.sql("UPDATE unit SET key_change_id = NULL")
    assert [str(found) for found in examine(installation(world), ["unit-key", "four-eyes", "act-step", "step-act"]).findings] == []


def _colleague(world: World) -> Client:
    """Return a client of a second person at the bank."""
    with world.context() as ctx:
        world.add_user(ctx, Account("mandiri.staf", "Rudi Contoh", "BANK MANDIRI", frozenset({Role.STAFF}), "M-0002"))
    return world.client("mandiri.staf")


def test_the_maker_proposes_and_one_person_of_the_holder_registers(sqlite_world: World) -> None:
    world = sqlite_world
    number = world.units("mandiri.kepala", 1, MODEL, "R")[0]
    holder, maker = world.client("mandiri.kepala"), world.client("softorb.kepala")
    keys = {"keys": [{"unit": unit_of(holder, number)["id"], "public_jwk": new_jwk()}]}
    for stranger in ("len.kepala", "bangli.kepala"):
        assert world.client(stranger).post("/unit-key-changes", keys).json["errors"][0]["field"] == "unit"
    assert refused(world.client("softorb.kepala", fresh=False).post("/unit-key-changes", keys)) == (403, "step-up-required")
    made = done(maker.post("/unit-key-changes", keys), 201)
    path, seen = f"/unit-key-changes/{made['id']}", {"digest": made["digest"]}
    assert refused(maker.post(f"{path}/approve", seen)) == (403, "forbidden")
    assert refused(holder.post(f"{path}/approve", {"digest": "0" * 64})) == (409, "digest-mismatch")
    assert refused(world.client("mandiri.kepala", fresh=False).post(f"{path}/approve", seen)) == (403, "step-up-required")
    assert maker.post("/unit-key-changes", keys).json["errors"][0]["field"] == "public_jwk"  # one waits already
    done(holder.post(f"{path}/approve", seen))
    assert refused(holder.post(f"{path}/reject", {"note": "terlambat"})) == (409, "conflict")
    again = done(maker.post("/unit-key-changes", {"keys": [{"unit": keys["keys"][0]["unit"], "public_jwk": new_jwk()}]}), 201)
    assert again["keys"][0]["former"] == made["keys"][0]["thumbprint"]
    done(maker.post(f"/unit-key-changes/{again['id']}/withdraw"))


def test_a_person_gives_a_key_with_a_fresh_code_only(sqlite_world: World) -> None:
    unit = {"hardware_number": "BARU-1", "model": MODEL, "function": "R"}
    stale = sqlite_world.client("mandiri.kepala", fresh=False)
    assert refused(stale.post("/units", [unit | {"public_jwk": new_jwk()}])) == (403, "step-up-required")
    done(stale.post("/units", [unit]), 201)  # without a key as before
    path = f"/units/{unit_of(stale, 'BARU-1')['id']}/pcid"
    assert refused(stale.post(path, {"pcid": "AB" * 16, "public_jwk": new_jwk()})) == (403, "step-up-required")


def test_a_file_of_keys_is_one_proposal_seen_by_its_thumbprints(world: World) -> None:
    head, staff = english(world, "magetan.kepala"), english(world, "magetan.staf")
    columns = ("hardware_number", "model", "function", "public_jwk")
    rows = [(f"BERKAS-{n}", "LEN-CRD-1", "R", json.dumps(new_jwk()) if n else "") for n in range(3)]
    landed(head.send("/unit/berkas", units=_csv(columns, rows)))
    changes = done(world.client("magetan.staf").get("/unit-key-changes"))["items"]
    assert [(change["state"], change["count"]) for change in changes] == [("proposed", 2)]
    digest, path = changes[0]["digest"], f"/unit/kunci/{changes[0]['id']}"
    assert head.send(f"{path}/laksanakan", digest=digest).status_code == 403
    page = staff.text(path)
    assert all(key["thumbprint"] in page for key in done(world.client("magetan.staf").get(f"/unit-key-changes/{changes[0]['id']}"))["keys"])
    assert "Decide on public keys of units" in staff.text("/")
    landed(staff.send(f"{path}/laksanakan", digest=digest))
    assert world.sql("SELECT COUNT(*) FROM unit WHERE key_change_id IS NOT NULL")[0][0] == 2
    same = json.dumps(new_jwk())
    wrong = [("BERKAS-0", same), ("BERKAS-1", same), ("TIDAK-ADA", json.dumps(new_jwk())), ("BERKAS-2", "{}")]
    shown = head.send("/unit/kunci/berkas", keys=_csv(("hardware_number", "public_jwk"), wrong))
    assert shown.status_code == 422
    for row, field in ((4, "Hardware number"), (5, "Public key of the unit (JWK)")):
        assert f"<td>{row}</td><td>{field}</td>" in shown.get_data(as_text=True)
    landed(head.send("/unit/kunci/berkas", keys=_csv(("hardware_number", "public_jwk"), [("BERKAS-0", same)])))


def _csv(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Any:
    return (io.BytesIO(write_csv(columns, list(rows))), "berkas.csv")
