"""The vectors in our verifier, in its command, and in five independent programs."""

from __future__ import annotations

import base64
import json
import re
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
from manifests.keyset import KeysetRefused, root_sha256, sign_keyset, verify_keyset, verify_root_change
from manifests.verifier import Expectations, Reason, Verdict, verify
from tests.support import programs
from tests.vectors import make
from tests.vectors.parts import ROOT, SIGNER, STATUS, by_digest

FOLDER = make.FOLDER
INDEX: dict[str, Any] = json.loads((FOLDER / "index.json").read_text())
NAMES = sorted(INDEX["vectors"])
MANIFEST = programs.ROOT / "docs" / "manifest.md"


def expectations(name: str) -> Expectations:
    entry = INDEX["vectors"][name]
    asked = {key: INDEX[key] for key in ("at", "uid", "root_sha256")} | entry["ask"]
    status = None if entry["status"] is None else (FOLDER / entry["status"]).read_bytes()
    return Expectations(keyset=(FOLDER / entry["keyset"]).read_bytes(), status=status, **asked)


def judged(name: str) -> Verdict:
    return verify((FOLDER / INDEX["vectors"][name]["file"]).read_bytes(), expectations(name))


def said(name: str) -> str:
    verdict = judged(name)
    return "valid" if verdict.valid else str(verdict.reason)


def test_the_files_equal_what_the_script_makes() -> None:
    there = {path.name: path.read_bytes() for pattern in make.MADE for path in FOLDER.glob(pattern)}
    assert there == make.files()


def test_no_two_vectors_have_one_name() -> None:
    assert len(NAMES) == len(make.vectors())


def test_every_reason_has_a_vector() -> None:
    assert {entry["ours"] for entry in INDEX["vectors"].values()} == {"valid", *map(str, Reason)}


@pytest.mark.parametrize("name", NAMES)
def test_our_verifier_gives_the_result_of_the_index(name: str) -> None:
    assert said(name) == INDEX["vectors"][name]["ours"]
    assert bool(judged(name).warning) == INDEX["vectors"][name]["warning"]


@pytest.mark.parametrize("name", sorted(INDEX["root_changes"]))
def test_our_verifier_moves_its_pin_as_the_index_says(name: str) -> None:
    entry = INDEX["root_changes"][name]
    held = verify_keyset((FOLDER / entry["held"]).read_bytes(), INDEX["root_sha256"])
    data = (FOLDER / entry["file"]).read_bytes()
    if entry["root_sha256"] is None:
        with pytest.raises(KeysetRefused):
            verify_root_change(data, held)
    else:
        assert root_sha256(verify_root_change(data, held).root.key()) == entry["root_sha256"]


def test_the_duplicate_keys_vector_passes_without_the_check_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: without the check the vector is accepted, so the vector does test the check."""
    monkeypatch.setattr(encoding, "_no_duplicates", dict)
    assert said("duplicate-keys") == "valid"


OPTIONS = {"min_epoch": "--min-epoch", "min_seq": "--min-seq", "min_keyset_version": "--min-keyset-version"}
FOR_THE_COMMAND = [name for name in NAMES if "min_status_seq" not in INDEX["vectors"][name]["ask"]]  # it has no option for this input


@pytest.mark.parametrize("name", FOR_THE_COMMAND)
def test_the_command_exits_0_or_1(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    entry = INDEX["vectors"][name]
    asked = {key: INDEX[key] for key in ("at", "root_sha256")} | entry["ask"]
    more = [text for key, option in OPTIONS.items() if key in asked for text in (option, str(asked[key]))]
    more += ["--status", str(FOLDER / entry["status"])] if entry["status"] else []
    more += ["--uid", "30:15:4b:01 00 00 12 34"] if asked.get("uid", INDEX["uid"]) else []
    code = cli.main([
        "verify", str(FOLDER / entry["file"]), "--root-sha256", asked["root_sha256"], "--keyset", str(FOLDER / entry["keyset"]),
        "--at", str(asked["at"]), *more,
    ])  # fmt: skip
    ours, out = entry["ours"], capsys.readouterr().out
    assert code == (0 if ours == "valid" else 1)
    assert ("VALID" if ours == "valid" else f"REFUSED {ours}:") in out
    assert ("WARNING" in out) == entry["warning"]


def test_the_command_exits_2_for_what_it_cannot_use(capsys: pytest.CaptureFixture[str]) -> None:
    good, keyset = str(FOLDER / "good.jws"), ["--keyset", str(FOLDER / "keyset.sig")]
    for arguments in (["nowhere.jws", "--root-sha256", "0" * 64, *keyset], [good, "--root-sha256", "xyz", *keyset], [good]):
        assert cli.main(["verify", *arguments]) == 2
    assert "unusable" in capsys.readouterr().err


def test_the_command_remembers_the_highest_keyset_and_refuses_an_older_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer, state = tmp_path / "newer.sig", tmp_path / "state.json"
    held = verify_keyset((FOLDER / "keyset.sig").read_bytes(), INDEX["root_sha256"])
    newer.write_text(sign_keyset(held.model_copy(update={"version": 2}), (ROOT.public_key(), by_digest(ROOT))))
    base = ["verify", str(FOLDER / "good.jws"), "--root-sha256", INDEX["root_sha256"], "--at", str(INDEX["at"]), "--state", str(state)]
    for file, code in ((FOLDER / "keyset.sig", 0), (newer, 0), (newer, 0), (FOLDER / "keyset.sig", 1)):
        assert cli.main([*base, "--keyset", str(file)]) == code
    assert "older than 2, which was seen already" in capsys.readouterr().out
    assert json.loads(state.read_text()) == {"keyset_versions": {INDEX["root_sha256"]: 2}}
    assert list(tmp_path.glob(".state*")) == []
    pin = INDEX["root_sha256"]
    for damaged in ("", "{", "[]", '{"keyset_versions": []}', f'{{"keyset_versions": {{"{pin}": true}}}}', "[" * 100_000):
        state.write_text(damaged)  # a damaged memory is no new one
        assert cli.main([*base, "--keyset", str(FOLDER / "keyset.sig")]) == 2
        assert state.read_text() == damaged


def test_the_command_remembers_each_root_by_itself_and_verifies_nothing_that_it_cannot_remember(tmp_path: Path) -> None:
    state, pin = tmp_path / "state.json", INDEX["root_sha256"]
    base = ["verify", str(FOLDER / "good.jws"), "--root-sha256", pin, "--at", str(INDEX["at"]), "--keyset", str(FOLDER / "keyset.sig")]
    state.write_text(json.dumps({"keyset_versions": {"0" * 64: 9}}))  # another root's
    assert cli.main([*base, "--state", str(state)]) == 0
    assert json.loads(state.read_text()) == {"keyset_versions": {"0" * 64: 9, pin: 1}}
    for nowhere in ("/proc/self/state.json", str(tmp_path / "missing" / "state.json"), str(tmp_path)):  # nobody can write there
        assert cli.main([*base, "--state", nowhere]) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


# --- the programs ----------------------------------------------------------------------------------------------------


FILES = sorted({entry["file"] for entry in INDEX["vectors"].values()})


def accepted(judge: Callable[[Path], bool]) -> set[str]:
    return {file for file in FILES if judge(FOLDER / file)}


def expected_of(program: str) -> set[str]:
    return {entry["file"] for entry in INDEX["vectors"].values() if program in entry["accepted_by"]}


def test_vectors_of_one_file_are_accepted_by_the_same_programs() -> None:
    found = {(entry["file"], tuple(entry["accepted_by"])) for entry in INDEX["vectors"].values()}
    assert len(found) == len(FILES)


def _succeeds(*command: str, data: bytes | None = None) -> bool:
    return subprocess.run(command, input=data, capture_output=True, check=False).returncode == 0


def test_debians_jose_accepts_what_the_index_says() -> None:
    jose = programs.program("jose")
    keys = str(FOLDER / "jwks.json")
    assert accepted(lambda path: _succeeds(jose, "jws", "ver", "-i", str(path), "-k", keys)) == expected_of("jose")


def test_openssl_accepts_what_the_index_says(tmp_path: Path) -> None:
    public = SIGNER.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
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
    files = [str(FOLDER / file) for file in FILES]
    done = subprocess.run([programs.program("node"), script, str(FOLDER / "jwks.json"), *files], capture_output=True, check=True, text=True)
    found = json.loads(done.stdout)
    assert {Path(file).name for file, good in found.items() if good} == expected_of("npm-jose")


def test_jose_verifies_keyset_and_status_list_as_well(tmp_path: Path) -> None:
    for name, key in (("keyset.sig", ROOT), ("status.sig", STATUS)):
        (tmp_path / "key.jwk").write_text(json.dumps(jws.jwk(key.public_key())))
        (tmp_path / "line").write_bytes((FOLDER / name).read_bytes().strip())
        assert _succeeds(programs.program("jose"), "jws", "ver", "-i", str(tmp_path / "line"), "-k", str(tmp_path / "key.jwk"))


# --- the document ----------------------------------------------------------------------------------------------------


def test_the_document_lists_every_vector_under_its_answer() -> None:
    section = MANIFEST.read_text().split("\n## Test vectors\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| [^|]*\| `([\w-]+)` \| (`[\w-]+`(?:, `[\w-]+`)*) \|$", section, re.MULTILINE)
    listed = [(name, answer) for answer, names in rows for name in re.findall(r"`([\w-]+)`", names)]
    assert sorted(listed) == [(name, INDEX["vectors"][name]["ours"]) for name in NAMES]


def test_the_document_describes_every_member_of_the_index() -> None:
    text = MANIFEST.read_text()
    entries = [("vectors.*", entry) for entry in INDEX["vectors"].values()] + [
        ("root_changes.*", entry) for entry in INDEX["root_changes"].values()
    ]
    members = {*INDEX, *(f"{start}.{member}" for start, entry in entries for member in entry)}
    assert [member for member in sorted(members) if f"| `{member}` |" not in text] == []
    assert [key for entry in INDEX["vectors"].values() for key in entry["ask"] if f"`{key}`" not in text] == []
