"""The HSM as the application sees it: named keys, one method per operation, and one hierarchy of errors (`hsm.errors`)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from hsm import derivation
from hsm.adapter import HSMPrivateKey
from hsm.errors import HSMError, HSMKeyChanged
from hsm.keys import MASTER, SIGNING_PLAN, KeyInfo, KeyPlan
from hsm.module import Module, TokenConfig, TokenInfo
from hsm.session import TokenSession

T = TypeVar("T")
HEALTH_LABEL = "health-test"
HEALTH_FOR = 5.0  # seconds
_PREHASHED = ec.ECDSA(utils.Prehashed(hashes.SHA256()))


@dataclass(frozen=True)
class Health:
    """The result of the last test signature. `generation` and `restarts` count the library's starts; `last_error` is empty if `ok`."""

    ok: bool
    generation: int
    restarts: int
    last_error: str


class Operations:
    """The operations on one session, for several of them in one call (`HSM.run`). Signatures are verified before they are returned."""

    def __init__(self, session: TokenSession, hsm: HSM) -> None:
        self.session = session
        self._hsm = hsm

    def sign(self, label: str, digest: bytes) -> bytes:
        """Return the signature of a 32-byte digest, 64 bytes r ‖ s. Raise HSMKeyChanged if it does not verify with the pinned public key.

        The check runs in software and costs about 45 µs. It keeps a faulty or exchanged HSM from signing something nobody can verify.
        """
        pinned = self._hsm.pinned.get(label)
        if pinned is None:
            pinned = self._hsm.pin_key(label, self.session.public_key(label))
        signature = self.session.sign(label, digest)
        verify_raw(pinned, signature, digest, label)
        return signature

    def hmac(self, label: str, message: bytes) -> bytes:
        """Return the HMAC-SHA-256 of `message`, 32 bytes."""
        self._require(label)
        return self.session.hmac(label, message)

    def derive_open_key(self, version: int, uid: bytes) -> bytes:
        """Return the 32-byte open key of the card with this 8-byte UID: two C_Sign(CKM_AES_CMAC) with `sam-master-vN`.

        The master key never leaves the token (docs/manifest.md).
        """
        label = f"{MASTER}{version}"
        self._require(label)
        return b"".join(self.session.cmac(label, block) for block in derivation.blocks(uid))

    def seal(self, label: str, plaintext: bytes, associated_data: bytes) -> bytes:
        """Encrypt by C_Encrypt(CKM_AES_GCM) and return IV (12 bytes) ‖ ciphertext ‖ tag (16 bytes)."""
        self._require(label)
        return self.session.seal(label, plaintext, associated_data)

    def open_sealed(self, label: str, sealed: bytes, associated_data: bytes) -> bytes:
        """Return the plaintext. Raise HSMMisuse when the sealed data or the associated data were changed."""
        self._require(label)
        return self.session.open_sealed(label, sealed, associated_data)

    def check_value(self, label: str) -> str:
        """Return the check value of a secret key, 16 hex digits (`TokenSession.check_value`)."""
        return self.session.check_value(label)

    def is_known(self, label: str) -> bool:
        """Return whether the secret key of this label is recorded, so that it was compared before its use."""
        return label in self._hsm.expected()

    def compare(self, label: str) -> None:
        """Compare a secret key with its recorded check value, if there is one. Raise HSMKeyChanged if it is another key."""
        expected = self._hsm.expected().get(label)
        if expected is None:
            return
        if self.check_value(label) != expected:
            raise HSMKeyChanged(f"{label} on the token is another key than that of the ceremony")
        self.session.compared.add(label)

    def _require(self, label: str) -> None:
        """Compare at the first use in this session: there the key is searched by its label, and later uses take the same object."""
        if label not in self.session.compared:
            self.compare(label)


class HSM:
    """One token. The library starts at the first call. Threads and forked processes may use the same object.

    `expected` returns the check values of secret keys by label, as recorded at the ceremony. A key that differs is not used.
    `before_call` runs in the caller's thread before each call. The application uses it to check that no database transaction is open.
    Every method may raise any HSMError.
    """

    def __init__(self, config: TokenConfig, before_call: Callable[[], None] = lambda: None) -> None:
        self.config = config
        self._before_call = before_call
        self.pinned: dict[str, ec.EllipticCurvePublicKey] = {}
        self.expected: Callable[[], Mapping[str, str]] = dict
        self._health: tuple[float, Health] | None = None

    @property
    def module(self) -> Module:
        """Return the library that holds this token."""
        return Module.at(self.config.module_path)

    def run(self, function: Callable[[Operations], T]) -> T:
        """Run several operations in one call and return the result of `function`.

        They share one pass through the gate, one worker thread and one time-out. `function` runs a second time if the token was away.
        """
        self._before_call()
        return self.module.call(self.config, lambda session: function(Operations(session, self)))

    def sign(self, label: str, digest: bytes) -> bytes:
        """Return the signature of a 32-byte digest, 64 bytes r ‖ s, verified in software."""
        return self.run(lambda do: do.sign(label, digest))

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey:
        """Return the public half. It is pinned for the life of this object: a token that later shows another key is refused."""
        found = self.pinned.get(label)
        return found if found is not None else self.run(lambda do: self.pin_key(label, do.session.public_key(label)))

    def private_key(self, label: str) -> HSMPrivateKey:
        """Return an object that `cryptography` accepts as a private key, for certificates and certificate requests."""
        return HSMPrivateKey(self, label)

    def hmac(self, label: str, message: bytes) -> bytes:
        """Return the HMAC-SHA-256 of `message`, 32 bytes."""
        return self.run(lambda do: do.hmac(label, message))

    def derive_open_key(self, version: int, uid: bytes) -> bytes:
        """Return the 32-byte open key of the card with this 8-byte UID under the master key of `version`."""
        return self.run(lambda do: do.derive_open_key(version, uid))

    def seal(self, label: str, plaintext: bytes, associated_data: bytes) -> bytes:
        """Encrypt by C_Encrypt(CKM_AES_GCM) and return IV (12 bytes) ‖ ciphertext ‖ tag (16 bytes)."""
        return self.run(lambda do: do.seal(label, plaintext, associated_data))

    def open_sealed(self, label: str, sealed: bytes, associated_data: bytes) -> bytes:
        """Return the plaintext. Raise HSMMisuse when the sealed data or the associated data were changed."""
        return self.run(lambda do: do.open_sealed(label, sealed, associated_data))

    def info(self) -> TokenInfo:
        """Return what the token says of itself: label, serial number, maker, model. Needs no login."""
        return self.module.token_info(self.config)

    def keys(self, plan: tuple[KeyPlan, ...] = SIGNING_PLAN) -> list[KeyInfo]:
        """Return the keys of `plan` as they are on the token. Raise HSMKeyMissing if one does not exist."""
        return self.run(lambda do: [do.session.info(key) for key in plan])

    def labels(self) -> list[tuple[str, bytes, str]]:
        """Return label, CKA_ID and class of every private and secret key on the token, sorted."""
        return self.run(lambda do: do.session.labels())

    def check(self) -> Health:
        """Sign a fresh digest with `health-test`, verify it, and compare every recorded secret key.

        A good result is cached for HEALTH_FOR seconds.

        No lock is taken: two checks at the same time sign twice, and a fork between them leaves no lock held.
        """
        seen = self._health
        if seen is not None and seen[1].ok and time.monotonic() - seen[0] < HEALTH_FOR:
            return seen[1]
        problem = ""
        try:
            self.run(self._look)
        except HSMError as error:
            problem = str(error)
        health = Health(not problem, self.module.generation, self.module.restarts, problem)
        self._health = (time.monotonic(), health)
        return health

    def _look(self, do: Operations) -> None:
        # The digest is new each time, so that an old signature cannot pass for an answer.
        do.sign(HEALTH_LABEL, hashlib.sha256(str(time.monotonic_ns()).encode()).digest())
        for label in self.expected():
            do.compare(label)

    def pin_key(self, label: str, key: ec.EllipticCurvePublicKey) -> ec.EllipticCurvePublicKey:
        """Remember the first public key seen under a label and return it. Raise HSMKeyChanged if a later key differs."""
        known = self.pinned.setdefault(label, key)
        if known.public_numbers() != key.public_numbers():
            raise HSMKeyChanged(f"the token now has another {label}")
        return known

    def close(self) -> None:
        """Finalise the library. This ends the sessions of all tokens that it holds."""
        self.module.close()


def verify_raw(key: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes, label: str) -> None:
    """Verify the raw signature r ‖ s (64 bytes) of a 32-byte digest in software. Raise HSMKeyChanged if it does not verify."""
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, digest, _PREHASHED)
    except InvalidSignature:
        raise HSMKeyChanged(f"a signature by {label} does not verify with the pinned public key") from None
