"""The vectors in our verifier, in its command, and in five independent programs."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import utils
from joserfc import jws as joserfc_jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws
from jwcrypto.common import JWException

from manifests import cli, encoding, jws
from manifests.verifier import Expectations, verify
from tests.support import programs
from tests.vectors import make

FOLDER = make.FOLDER
INDEX: dict[str, Any] = json.loads((FOLDER / "index.json").read_text())
NAMES = sorted(INDEX["vectors"])


def expectations(name: str) -> Expectations:
    asked = INDEX["vectors"][name]["ask"]
    return Expectations(
        INDEX["root_sha256"], (FOLDER / "keyset.sig").read_bytes(), INDEX["at"], (FOLDER / "status.sig").read_bytes(), INDEX["uid"], **asked
    )


def said(name: str) -> str:
    verdict = verify((FOLDER / f"{name}.jws").read_bytes(), expectations(name))
    return "valid" if verdict.valid else str(verdict.reason)


def test_the_files_equal_what_the_script_makes() -> None:
    assert {name: (FOLDER / name).read_bytes() for name in make.files()} == make.files()


@pytest.mark.parametrize("name", NAMES)
def test_our_verifier_gives_the_result_of_the_index(name: str) -> None:
    assert said(name) == INDEX["vectors"][name]["ours"]


def test_a_manifest_in_its_grace_period_is_valid_with_a_warning() -> None:
    assert verify((FOLDER / "grace.jws").read_bytes(), expectations("grace")).warning


def test_the_duplicate_keys_vector_passes_without_the_check_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: without the check the vector is accepted, so the vector does test the check."""
    monkeypatch.setattr(encoding, "_no_duplicates", dict)
    assert said("duplicate-keys") == "valid"


def test_a_keyset_of_another_root_is_not_trusted() -> None:
    expected = expectations("good")
    other = Expectations(expected.root_sha256, (FOLDER / "keyset-of-another-root.sig").read_bytes(), expected.at)
    assert verify((FOLDER / "good.jws").read_bytes(), other).reason == "keyset-not-trusted"


@pytest.mark.parametrize("name", NAMES)
def test_the_command_exits_0_or_1(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [text for key, value in INDEX["vectors"][name]["ask"].items() for text in (f"--{key.replace('_', '-')}", str(value))]
    code = cli.main([
        "verify", str(FOLDER / f"{name}.jws"), "--root-sha256", INDEX["root_sha256"], "--keyset", str(FOLDER / "keyset.sig"),
        "--status", str(FOLDER / "status.sig"), "--uid", "30:15:4b:01 00 00 12 34", "--at", str(INDEX["at"]), *asked,
    ])  # fmt: skip
    ours = INDEX["vectors"][name]["ours"]
    assert code == (0 if ours == "valid" else 1)
    assert ("VALID" if ours == "valid" else f"REFUSED {ours}:") in capsys.readouterr().out


def test_the_command_exits_2_for_what_it_cannot_use(capsys: pytest.CaptureFixture[str]) -> None:
    good, keyset = str(FOLDER / "good.jws"), ["--keyset", str(FOLDER / "keyset.sig")]
    for arguments in (["nowhere.jws", "--root-sha256", "0" * 64, *keyset], [good, "--root-sha256", "xyz", *keyset], [good]):
        assert cli.main(["verify", *arguments]) == 2
    assert "unusable" in capsys.readouterr().err


# --- the programs ----------------------------------------------------------------------------------------------------


def accepted(judge: Callable[[Path], bool]) -> set[str]:
    return {name for name in NAMES if judge(FOLDER / f"{name}.jws")}


def expected_of(program: str) -> set[str]:
    return {name for name in NAMES if program in INDEX["vectors"][name]["accepted_by"]}


def _succeeds(*command: str, data: bytes | None = None) -> bool:
    return subprocess.run(command, input=data, capture_output=True, check=False).returncode == 0


def test_debians_jose_accepts_what_the_index_says() -> None:
    jose = programs.program("jose")
    keys = str(FOLDER / "jwks.json")
    assert accepted(lambda path: _succeeds(jose, "jws", "ver", "-i", str(path), "-k", keys)) == expected_of("jose")


def test_openssl_accepts_what_the_index_says(tmp_path: Path) -> None:
    public = make.SIGNER.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(public)

    def judge(path: Path) -> bool:
        parts = [part.rstrip(b"=") for part in path.read_bytes().strip().split(b".")]
        if len(parts) != 3 or len(parts[2]) != 86:
            return False  # not a file that OpenSSL could verify
        signature = base64.urlsafe_b64decode(parts[2] + b"==")
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        (tmp_path / "sig").write_bytes(utils.encode_dss_signature(r, s))
        command = ("dgst", "-sha256", "-verify", str(tmp_path / "key.pem"), "-signature", str(tmp_path / "sig"))
        return _succeeds(programs.program("openssl"), *command, data=parts[0] + b"." + parts[1])

    assert accepted(judge) == expected_of("openssl")


def test_jwcrypto_accepts_what_the_index_says() -> None:
    keys = jwcrypto_jwk.JWKSet.from_json((FOLDER / "jwks.json").read_text())

    def judge(path: Path) -> bool:
        token = jwcrypto_jws.JWS()
        token.allowed_algs = ["ES256"]
        try:
            token.deserialize(path.read_bytes().decode("latin-1"))
            token.verify(keys)
        except (JWException, ValueError):
            return False
        return True

    assert accepted(judge) == expected_of("jwcrypto")


def test_joserfc_accepts_what_the_index_says() -> None:
    keys = KeySet.import_key_set(json.loads((FOLDER / "jwks.json").read_text()))

    def judge(path: Path) -> bool:
        try:
            joserfc_jws.deserialize_compact(path.read_bytes(), keys, algorithms=["ES256"])
        except (JoseError, ValueError):
            return False
        return True

    assert accepted(judge) == expected_of("joserfc")


def test_npm_jose_accepts_what_the_index_says() -> None:
    script = str(Path(__file__).with_name("verify.mjs"))
    files = [str(FOLDER / f"{name}.jws") for name in NAMES]
    done = subprocess.run([programs.program("node"), script, str(FOLDER / "jwks.json"), *files], capture_output=True, check=True, text=True)
    found = json.loads(done.stdout)
    assert {name for name, file in zip(NAMES, files, strict=True) if found[file]} == expected_of("npm-jose")


def test_jose_verifies_keyset_and_status_list_as_well(tmp_path: Path) -> None:
    for name, key in (("keyset.sig", make.ROOT), ("status.sig", make.STATUS)):
        (tmp_path / "key.jwk").write_text(json.dumps(jws.jwk(key.public_key())))
        (tmp_path / "line").write_bytes((FOLDER / name).read_bytes().strip())
        assert _succeeds(programs.program("jose"), "jws", "ver", "-i", str(tmp_path / "line"), "-k", str(tmp_path / "key.jwk"))
