"""Units (machines): their numbers, their PCID and their key."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from joserfc.jwk import ECKey

from sifilma.cards.identifiers import normalise_hardware, normalise_uid, perso_warning
from tests.support.world import World, done

UNIT = {"hardware_number": "CRD-1", "model": "LEN-CRD-1", "function": "R"}


@pytest.mark.parametrize("text", ["30 15 4B 01 00 00 12 34", "30:15:4b:01:00:00:12:34", "30154b0100001234", " 30154B0100001234 "])
def test_a_uid_is_accepted_as_it_is_printed(text: str) -> None:
    assert normalise_uid(text) == "30154B0100001234"


@pytest.mark.parametrize("text", ["0", "000", "", "x" * 41, "<b>"])
def test_a_hardware_number_of_zeros_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hardware number"):
        normalise_hardware(text)


def test_a_missing_digit_only_gives_a_warning() -> None:
    assert "15 characters" in (perso_warning("215BB12LN004813") or "")
    assert perso_warning("2015BB12LN004826") is None


def test_units_are_registered_all_or_none(world: World) -> None:
    client = world.client("magetan.kepala")
    rows = [UNIT, UNIT | {"hardware_number": "CRD-2", "model": "NO-SUCH"}, UNIT | {"hardware_number": "CRD-1"}]
    refused = client.post("/units", rows)
    assert {(error["row"], error["field"]) for error in refused.json["errors"]} >= {(2, "model"), (3, "hardware_number")}
    assert world.sql("SELECT COUNT(*) FROM unit")[0][0] == 0
    done(client.post("/units", UNIT | {"pcid": "00112233445566778899aabbccddeeff"}), 201)
    done(world.client("bangli.kepala").post("/units", UNIT), 201)  # the number of another office's unit
    same = world.client("bangli.kepala").post("/units", UNIT | {"hardware_number": "X-1", "pcid": "00112233445566778899AABBCCDDEEFF"})
    assert same.json["errors"][0]["field"] == "pcid"


def test_only_offices_register_rw_units(world: World) -> None:
    encoder = {"hardware_number": "E-1", "model": "LEN-ENC-1", "function": "RW"}
    assert world.client("mandiri.kepala").post("/units", encoder).json["errors"][0]["field"] == "function"
    done(world.client("jatim.kepala").post("/units", encoder), 201)
    assert world.client("len.kepala").post("/units", encoder).status_code == 403


PCID = "00112233445566778899AABBCCDDEEFF"


def unit_without_pcid(world: World, owner: str = "mandiri.kepala", model: str = "SOFTORB-CRD-1") -> str:
    number = world.units(owner, 1, model, "R", pcid=False)[0]
    return str(done(world.client(owner).get("/units", hardware_number=number))["items"][0]["id"])


@pytest.mark.parametrize("who", ["mandiri.kepala", "softorb.kepala"])
def test_a_missing_pcid_is_supplied_once_by_the_owner_or_the_maker(world: World, who: str) -> None:
    path = f"/units/{unit_without_pcid(world)}/pcid"
    for other in ("bangli.kepala", "len.kepala"):
        assert world.client(other).post(path, {"pcid": PCID}).status_code == 404
    assert world.client("operator1").post(path, {"pcid": PCID}).status_code == 403
    assert done(world.client(who).post(path, {"pcid": PCID.lower(), "sam_perso": "2015BB12LN004826"}))["pcid"] == PCID
    again = world.client(who).post(path, {"pcid": PCID})
    assert (again.status_code, again.json["type"]) == (409, "urn:sifilma:problem:pcid-known")
    entry = world.sql("SELECT organisation_id, data FROM audit_entry WHERE action = 'unit.change'")
    assert [UUID(str(owner)) for owner, _ in entry] == [world.organisation_of("mandiri.kepala")]
    assert "sam_perso" in str(entry[0][1])


def test_a_supplied_pcid_must_be_unique_and_a_key_beside_it_is_proposed(sqlite_world: World) -> None:
    world = sqlite_world
    first, second = unit_without_pcid(world), unit_without_pcid(world)
    done(world.machine("BANK MANDIRI").post(f"/units/{first}/pcid", {"pcid": PCID}))
    maker, path = world.client("softorb.kepala"), f"/units/{second}/pcid"
    assert maker.post(path, {"pcid": PCID}).json["errors"][0]["field"] == "pcid"
    key = ECKey.generate_key("P-256", private=False).as_dict()
    other = {"pcid": PCID[::-1], "public_jwk": key}
    supplied = done(maker.post(path, other))
    assert (supplied["has_public_key"], supplied["public_key_change"] is not None) == (False, True)
    change = done(world.client("mandiri.kepala").get(f"/unit-key-changes/{supplied['public_key_change']}"))
    assert (change["state"], change["by"]) == ("proposed", str(world.organisation_of("softorb.kepala")))


def test_public_keys_of_other_sizes_members_and_curves_are_refused_early(sqlite_world: World) -> None:
    world = sqlite_world
    client, key = world.client("mandiri.kepala"), ECKey.generate_key("P-256", private=False).as_dict()
    unit = {"hardware_number": "JWK-1", "model": "SOFTORB-CRD-1", "function": "R"}
    off_the_curve = key | {"y": key["x"]}
    other_curve = ECKey.generate_key("P-384", private=False).as_dict()
    for wrong in (
        key | {"x5c": ["A" * 3_000_000]}, key | {"x": "A" * 5000}, key | {"x5c": ["A"]}, key | {"kid": "A" * 201}, key | {"d": key["x"]},
        key | {"k": "A"}, key | {"x": f"{key['x']}="}, {name: key[name] for name in ("kty", "crv", "x")}, off_the_curve, other_curve,
        key | {"x": [key["x"]]}, key | {"kid": {"a": 1}},
    ):  # fmt: skip
        refused = client.post("/units", unit | {"public_jwk": wrong})
        assert (refused.status_code, refused.json["errors"][0]["field"].rpartition(".")[2]) == (422, "public_jwk"), sorted(wrong)
        assert len(refused.get_data()) < 2000  # nothing of the input is repeated
        refused = client.post(f"/units/{unit_without_pcid(world)}/pcid", {"pcid": PCID, "public_jwk": wrong})
        assert refused.status_code in (413, 422)
    assert world.sql("SELECT COUNT(*) FROM unit_key")[0][0] == 0
    done(client.post("/units", unit | {"public_jwk": key | {"kid": "reader 7", "use": "enc"}}), 201)
    stored = [json.loads(text) for (text,) in world.sql("SELECT CAST(jwk AS text) FROM unit_key")]
    assert [sorted(jwk) for jwk in stored] == [["crv", "kty", "x", "y"]]


def test_a_unit_whose_pcid_came_later_is_activated(sqlite_world: World) -> None:
    world = sqlite_world
    ready, number = world.ready(), world.units("magetan.kepala", 1, pcid=False)[0]
    client, body = world.client("magetan.kepala"), world.activation(ready, ready.uids[0], hardware_number=number)
    assert client.post("/activations", body).json["type"].endswith("unit-without-pcid")
    unit = done(client.get("/units", hardware_number=number))["items"][0]["id"]
    done(client.post(f"/units/{unit}/pcid", {"pcid": PCID}))
    done(client.post("/activations", body), 201)
