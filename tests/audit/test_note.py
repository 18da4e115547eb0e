"""Checkpoints as signed notes: they are read back, refused when malformed, and verified by OpenSSL."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from sifilma.audit import note
from sifilma.audit.note import Checkpoint, NoteRefused
from tests.support import programs

KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
SAID = Checkpoint("log.example.org/log", 12, hashlib.sha256(b"root").digest())


def signed(key: ec.EllipticCurvePrivateKey = KEY, said: Checkpoint = SAID) -> str:
    def sign(digest: bytes) -> bytes:
        r, s = utils.decode_dss_signature(key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256()))))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return note.sign_checkpoint(said, key.public_key(), sign)


def test_a_checkpoint_has_three_lines_an_empty_line_and_a_signature() -> None:
    lines = signed().split("\n")
    assert lines[:2] == ["log.example.org/log", "12"]
    assert base64.b64decode(lines[2]) == SAID.root
    assert lines[3] == lines[5] == ""
    dash, name, value = lines[4].split(" ")
    assert (dash, name) == ("\N{EM DASH}", SAID.origin)
    spki = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert base64.b64decode(value)[:4] == hashlib.sha256(spki).digest()[:4]


def test_a_checkpoint_is_verified_with_the_signing_key_among_others() -> None:
    assert note.read_checkpoint(signed(), [OTHER.public_key(), KEY.public_key()]) == SAID
    cosigned = signed() + f"\N{EM DASH} witness.example.org {base64.b64encode(bytes(70)).decode()}\n"
    assert note.read_checkpoint(cosigned, [KEY.public_key()]) == SAID
    assert note.claim(signed(OTHER)) == SAID


BROKEN = {
    "another size": signed().replace("\n12\n", "\n13\n"),
    "another origin in the text": signed().replace("log.example.org/log\n", "log.example.org/other\n", 1),
    "another name": signed().replace("\N{EM DASH} log.example.org/log", "\N{EM DASH} log.example.org/other"),
    "another key": signed(OTHER),
    "no signature": SAID.text(),
    "an empty line missing": signed().replace("\n\n", "\n"),
    "a leading zero": signed().replace("\n12\n", "\n012\n"),
    "a carriage return": signed().replace("\n12\n", "\n12\r\n"),
    "no newline at the end": signed()[:-1],
    "a hyphen for the dash": signed().replace("\N{EM DASH}", "-"),
    "nothing": "",
    "too long": signed() + "\N{EM DASH} a.example " + "A" * 20_000 + "\n",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_malformed_checkpoint_is_refused(broken: str) -> None:
    with pytest.raises(NoteRefused):
        note.read_checkpoint(broken, [KEY.public_key()])


def test_openssl_verifies_the_signature_of_the_text(tmp_path: Path) -> None:
    text, _, signature = signed().partition("\n\n")
    (tmp_path / "text").write_text(text + "\n")
    (tmp_path / "der").write_bytes(base64.b64decode(signature.split(" ")[2])[4:])
    pem = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    command = [programs.program("openssl"), "dgst", "-sha256", "-verify", "key.pem", "-signature", "der", "text"]
    assert subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout == "Verified OK\n"
    (tmp_path / "text").write_text(text.replace("12", "13") + "\n")
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 1
