"""Machines, and what is printed on them."""

from __future__ import annotations

import pytest

from sifilma.cards.identity import normalise_hardware, normalise_uid, perso_warning
from tests.support.world import World, done

UNIT = {"hardware_number": "CRD-1", "model": "LEN-CRD-1", "function": "R"}


@pytest.mark.parametrize("text", ["30 15 4B 01 00 00 12 34", "30:15:4b:01:00:00:12:34", "30154b0100001234", " 30154B0100001234 "])
def test_a_uid_is_accepted_as_it_is_printed(text: str) -> None:
    assert normalise_uid(text) == "30154B0100001234"


@pytest.mark.parametrize("text", ["0", "000", "", "x" * 41, "<b>"])
def test_zeros_are_no_hardware_number(text: str) -> None:
    with pytest.raises(ValueError, match="hardware number"):
        normalise_hardware(text)


def test_a_lost_digit_only_warns() -> None:
    assert "15 characters" in (perso_warning("215BB12LN004813") or "")
    assert perso_warning("2015BB12LN004826") is None


def test_units_are_registered_all_or_none(world: World) -> None:
    client = world.client("magetan.kepala")
    rows = [UNIT, UNIT | {"hardware_number": "CRD-2", "model": "NO-SUCH"}, UNIT | {"hardware_number": "CRD-1"}]
    refused = client.post("/units", rows)
    assert {(error["row"], error["field"]) for error in refused.json["errors"]} >= {(2, "model"), (3, "hardware_number")}
    assert world.sql("SELECT COUNT(*) FROM unit")[0][0] == 0
    done(client.post("/units", UNIT | {"pcid": "00112233445566778899aabbccddeeff"}), 201)
    done(world.client("bangli.kepala").post("/units", UNIT), 201)  # another office's number
    same = world.client("bangli.kepala").post("/units", UNIT | {"hardware_number": "X-1", "pcid": "00112233445566778899AABBCCDDEEFF"})
    assert same.json["errors"][0]["field"] == "pcid"


def test_only_offices_have_rw(world: World) -> None:
    encoder = {"hardware_number": "E-1", "model": "LEN-ENC-1", "function": "RW"}
    assert world.client("mandiri.kepala").post("/units", encoder).json["errors"][0]["field"] == "function"
    done(world.client("jatim.kepala").post("/units", encoder), 201)
    assert world.client("len.kepala").post("/units", encoder).status_code == 403
