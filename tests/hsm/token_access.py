"""Helpers that reach a token past the key ceremony: they put known keys in, run scripts in other processes, and retry."""

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
    """Run `act` with the python-pkcs11 session and return its result."""

    def on(session: TokenSession) -> T:
        return act(session._session)

    return token.module.call(token.config, on)


def put_secret(token: HSM, label: str, value: bytes, *, kind: KeyType = KeyType.AES, **allowed: bool) -> None:
    """Create a secret key of a known value on the token (C_CreateObject); `allowed` names its permitted uses (SIGN, ENCRYPT, …)."""
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
    """Delete every object of this label with pkcs11-tool, another program than ours."""
    for kind in ("privkey", "pubkey", "secrkey"):
        command = ["--module", token.config.module_path, "--token-label", token.config.token_label, "--login", "--pin", PIN]
        delete = [program("pkcs11-tool"), *command, "--delete-object", "--type", kind, "--label", label]
        found = subprocess.run(delete, capture_output=True, check=False)
        assert found.returncode == 0 or b"object not found" in found.stdout + found.stderr


def sound(key: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes = DIGEST) -> bool:
    """Tell whether r ‖ s is a signature of the digest by this key."""
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True


def within(seconds: float, act: Callable[[], T]) -> T:
    """Return the result of `act`; retry for `seconds` while it raises HSMError, then raise that error."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return act()
        except HSMError:
            time.sleep(0.1)
    return act()


def within_seconds(seconds: float, holds: Callable[[], bool]) -> None:
    """Wait until something holds. AssertionError if it does not in this time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def refusal(act: Callable[[], object]) -> HSMError | None:
    """Return the HSMError that `act` raises, None if it raises none."""
    try:
        act()
    except HSMError as error:
        return error
    return None


def answer_of(error: HSMError | None) -> float:
    """Return the seconds after which an HSMUnavailable asks to try again; AssertionError for any other value."""
    assert isinstance(error, HSMUnavailable), error
    return error.retry_after


def script(name: str, token: HSM, *more: str) -> list[str]:
    """Return the command that runs a script of this folder on a token."""
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
    """Run a script; one that does not end within `seconds` is killed, and its return code is -9."""
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as hung:
        return subprocess.CompletedProcess(command, -9, "", str(hung))


def token_of(arguments: list[str]) -> HSM:
    """Return the token that the arguments of a script name."""
    path, label, lock = arguments
    # a long timeout: these scripts look for crashes and lost calls, and other tests may keep the machine busy
    return HSM(TokenConfig(path, label, lambda: PIN, Path(lock), call_timeout=25.0))
