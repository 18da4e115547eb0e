"""Ways to the tokens under test past the ceremony: known keys put in, other processes, patience."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from pkcs11 import Attribute, KeyType, ObjectClass

from hsm import HSM, HSMError, HSMUnavailable, TokenConfig
from hsm.session import TokenSession
from tests.support.programs import ROOT, program
from tests.support.softhsm import PIN

T = TypeVar("T")
DIGEST = bytes(range(32))
SCRIPTS = Path(__file__).parent


def raw(token: HSM, act: Callable[[Any], T]) -> T:
    """Run `act` with the bare PKCS#11 session."""

    def on(session: TokenSession) -> T:
        return act(session._session)

    return token.module.call(token.config, on)


def put_secret(token: HSM, label: str, value: bytes, *, kind: KeyType = KeyType.AES, **allowed: bool) -> None:
    """Put a secret key of a known value on the token (C_CreateObject): `allowed` names what it may do (SIGN, ENCRYPT, …)."""
    template = {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: kind,
        Attribute.LABEL: label,
        Attribute.ID: b"\x7f",
        Attribute.VALUE: value,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
    }
    template |= {Attribute[name]: value for name, value in allowed.items()}
    raw(token, lambda session: session.create_object(template))


def remove(token: HSM, label: str) -> None:
    """Delete every object of this label, by a program of somebody else."""
    for kind in ("privkey", "pubkey", "secrkey"):
        command = ["--module", token.config.module_path, "--token-label", token.config.token_label, "--login", "--pin", PIN]
        delete = [program("pkcs11-tool"), *command, "--delete-object", "--type", kind, "--label", label]
        found = subprocess.run(delete, capture_output=True, check=False)
        assert found.returncode == 0 or b"object not found" in found.stdout + found.stderr


def sound(key: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes = DIGEST) -> bool:
    """Whether r ‖ s is this key's signature."""
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True


def within(seconds: float, act: Callable[[], T]) -> T:
    """What `act` gives, tried again while the HSM fails."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return act()
        except HSMError:
            time.sleep(0.1)
    return act()


def refusal(act: Callable[[], object]) -> HSMError | None:
    """The HSMError an act ends with."""
    try:
        act()
    except HSMError as error:
        return error
    return None


def answer_of(error: HSMError | None) -> float:
    """The seconds after which to try again, of an HSMUnavailable."""
    assert isinstance(error, HSMUnavailable), error
    return error.retry_after


def script(name: str, token: HSM, *more: str) -> list[str]:
    """The command that runs a script of this folder on a token."""
    return [
        sys.executable,
        "-m",
        f"tests.hsm.{name}",
        token.config.module_path,
        token.config.token_label,
        str(token.config.lock_file),
        *more,
    ]


def run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a script; one that does not end in time is killed and counts as failed (-9)."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as hung:
        return subprocess.CompletedProcess(command, -9, "", str(hung))


def token_of(arguments: list[str]) -> HSM:
    """The token a script was given."""
    path, label, lock = arguments
    # a patient caller: these scripts look for crashes and lost calls, and the machine may be busy with other tests
    return HSM(TokenConfig(path, label, lambda: PIN, Path(lock), call_timeout=25.0))
