"""Property tests of manifests: any payload is read back unchanged, and any changed byte is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import cli, conf
from manifests.encoding import b64url
from manifests.keyset import root_sha256
from manifests.payload import Manifest
from manifests.verifier import Expectations, Reason, verify
from tests.vectors import make, parts

settings.register_profile("project", database=None, deadline=None, max_examples=120)
settings.load_profile("project")
SAFE = 2**53 - 1
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=60)
PAYLOADS = st.fixed_dictionaries(
    {
        "seq": st.integers(1, SAFE),
        "epoch": st.integers(0, 1),
        "fn": st.sampled_from(["R", "RW"]),
        "org": st.builds(lambda name: parts.payload()["org"] | {"name": name}, TEXT),
        "unit": st.builds(
            lambda hw, pcid: parts.payload()["unit"] | {"hw": hw, "pcid": pcid.hex().upper()},
            TEXT,
            st.binary(min_size=16, max_size=16),
        ),
        "loc": st.builds(
            lambda lat, lon, acc: parts.payload()["loc"] | {"lat_e7": lat, "lon_e7": lon, "acc_m": acc},
            st.integers(-900_000_000, 900_000_000),
            st.integers(-1_800_000_000, 1_800_000_000),
            st.integers(0, 1_000_000),
        ),
    }
)
EXPECTED = Expectations(root_sha256(parts.ROOT.public_key()), make.files()["keyset.sig"], parts.AT)


@given(PAYLOADS)
def test_every_signed_payload_is_read_back_unchanged(changes: dict[str, Any]) -> None:
    made = Manifest.model_validate(parts.payload(**changes))
    data = parts.signed(made.to_bytes())
    verdict = verify(data, EXPECTED)
    assert verdict.valid, verdict
    assert verdict.manifest == made
    assert Manifest.from_bytes(made.to_bytes()).to_bytes() == made.to_bytes()


@given(st.integers(0, len(parts.good()) - 1), st.integers(1, 255))
def test_every_changed_byte_is_refused(position: int, change: int) -> None:
    data = bytearray(parts.good())
    data[position] ^= change
    assert not verify(bytes(data), EXPECTED).valid


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_without_an_exception(data: bytes) -> None:
    assert not verify(data, EXPECTED).valid


@pytest.mark.parametrize("header", [b"[" * 600 + b"]" * 600, b'{"alg": ' + b"1" * 4500 + b"}"], ids=["deep", "long number"])
def test_a_header_that_stops_a_parser_is_refused_without_an_exception(header: bytes) -> None:
    verdict = verify(b".".join((b64url(header).encode(), b"e30", b"e30")), EXPECTED)
    assert not verdict.valid
    assert verdict.reason is Reason.MALFORMED


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16))
def test_the_machine_decrypts_the_open_key(key: bytes, pcid: bytes) -> None:
    masked = conf.conf(key, pcid)
    assert conf.open_key(masked, pcid) == key
    assert int(masked, 16) == int.from_bytes(key, "big") ^ int.from_bytes(pcid + pcid, "big")


@pytest.mark.parametrize(
    "change",
    [
        {"ver": True},
        {"prev": "A" * 42 + "B"},
        {"loc": parts.payload()["loc"] | {"code": "٣٥.20"}},
        {"loc": parts.payload()["loc"] | {"code": "35.20.01.2٠01"}},
    ],
    ids=["true for 1", "trailing bits", "foreign digits", "a foreign digit"],
)
def test_values_that_only_look_right_are_refused(change: dict[str, Any]) -> None:
    data = json.dumps(parts.payload() | change, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    verdict = verify(parts.signed(data), EXPECTED)
    assert (verdict.valid, verdict.reason) == (False, Reason.PAYLOAD)


def test_an_empty_uid_on_the_command_line_is_unusable_input(capsys: pytest.CaptureFixture[str]) -> None:
    folder = make.FOLDER
    pin, keyset = root_sha256(parts.ROOT.public_key()), str(folder / "keyset.sig")
    assert cli.main(["verify", str(folder / "good.jws"), "--root-sha256", pin, "--keyset", keyset, "--uid", ""]) == 2
    assert "16 hex digits" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("known", "reason"),
    [({"uid": ""}, Reason.WRONG_CARD), ({"uid": "30154b0100001234"}, Reason.WRONG_CARD), ({"root_sha256": ""}, Reason.KEYSET)],
    ids=["empty uid", "uid in lower case", "empty pin"],
)
def test_an_unusable_input_is_never_taken_for_an_absent_one(known: dict[str, Any], reason: Reason) -> None:
    assert verify(parts.good(), replace(EXPECTED, **known)).reason is reason
