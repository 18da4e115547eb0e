"""The HSM as the application sees it: named keys, plain operations, one error hierarchy."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from hsm import derivation
from hsm.adapter import HSMPrivateKey
from hsm.errors import HSMError, HSMKeyChanged
from hsm.keys import SIGNING_PLAN, KeyInfo, KeyPlan
from hsm.module import Module, TokenConfig
from hsm.session import TokenSession

T = TypeVar("T")
HEALTH_LABEL = "health-test"
HEALTH_FOR = 5.0
_PREHASHED = ec.ECDSA(utils.Prehashed(hashes.SHA256()))


@dataclass(frozen=True)
class Health:
    """Whether a real signature was made and verified a moment ago; `generation` and `restarts` of the library."""

    ok: bool
    generation: int
    restarts: int
    last_error: str


class Operations:
    """Operations on one session, for a sequence of them in one call (`HSM.run`). Signatures come back verified."""

    def __init__(self, session: TokenSession, hsm: HSM) -> None:
        self.session = session
        self._hsm = hsm

    def sign(self, label: str, digest: bytes) -> bytes:
        """64 bytes r ‖ s over a 32-byte digest, verified in software against the pinned public key (45 µs)."""
        pinned = self._hsm.pinned.get(label)
        if pinned is None:
            pinned = self._hsm.pin_key(label, self.session.public_key(label))
        signature = self.session.sign(label, digest)
        verify_raw(pinned, signature, digest, label)
        return signature

    def hmac(self, label: str, message: bytes) -> bytes:
        """HMAC-SHA-256, 32 bytes."""
        return self.session.hmac(label, message)

    def derive_open_key(self, version: int, uid: bytes) -> bytes:
        """The card's 32-byte open key: two C_Sign(CKM_AES_CMAC) with `sam-master-vN`; the master never leaves the token."""
        label = f"sam-master-v{version}"
        return b"".join(self.session.cmac(label, block) for block in derivation.blocks(uid))

    def seal(self, label: str, plaintext: bytes, associated_data: bytes) -> bytes:
        """IV ‖ ciphertext ‖ tag by C_Encrypt(CKM_AES_GCM)."""
        return self.session.seal(label, plaintext, associated_data)

    def open_sealed(self, label: str, sealed: bytes, associated_data: bytes) -> bytes:
        """The plaintext; HSMMisuse when anything was changed."""
        return self.session.open_sealed(label, sealed, associated_data)


class HSM:
    """One token. Started at the first call, safe for threads and forks. `before_call` runs in the caller's thread first."""

    def __init__(self, config: TokenConfig, before_call: Callable[[], None] = lambda: None) -> None:
        self.config = config
        self._before_call = before_call
        self.pinned: dict[str, ec.EllipticCurvePublicKey] = {}
        self._health: tuple[float, Health] | None = None

    @property
    def module(self) -> Module:
        """The library behind this token."""
        return Module.at(self.config.module_path)

    def run(self, function: Callable[[Operations], T]) -> T:
        """Several operations in one call through gate, thread hop and deadline. May run twice if the token was away."""
        self._before_call()
        return self.module.call(self.config, lambda session: function(Operations(session, self)))

    def sign(self, label: str, digest: bytes) -> bytes:
        """64 bytes r ‖ s over a 32-byte digest, verified in software before it is returned."""
        return self.run(lambda do: do.sign(label, digest))

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey:
        """The public half, pinned for the life of this object: a token that comes back with another key is refused."""
        found = self.pinned.get(label)
        return found if found is not None else self.run(lambda do: self.pin_key(label, do.session.public_key(label)))

    def private_key(self, label: str) -> HSMPrivateKey:
        """An adapter `cryptography` takes for a private key: certificates, requests, later PDF signatures."""
        return HSMPrivateKey(self, label)

    def hmac(self, label: str, message: bytes) -> bytes:
        """HMAC-SHA-256, 32 bytes."""
        return self.run(lambda do: do.hmac(label, message))

    def derive_open_key(self, version: int, uid: bytes) -> bytes:
        """The 32-byte open key of the card with this 8-byte UID under master version N."""
        return self.run(lambda do: do.derive_open_key(version, uid))

    def seal(self, label: str, plaintext: bytes, associated_data: bytes) -> bytes:
        """IV ‖ ciphertext ‖ tag by C_Encrypt(CKM_AES_GCM)."""
        return self.run(lambda do: do.seal(label, plaintext, associated_data))

    def open_sealed(self, label: str, sealed: bytes, associated_data: bytes) -> bytes:
        """The plaintext; HSMMisuse when anything was changed."""
        return self.run(lambda do: do.open_sealed(label, sealed, associated_data))

    def keys(self, plan: tuple[KeyPlan, ...] = SIGNING_PLAN) -> list[KeyInfo]:
        """The planned keys as they are on the token. HSMKeyMissing if one is not there."""
        return self.run(lambda do: [do.session.info(key) for key in plan])

    def labels(self) -> list[tuple[str, bytes, str]]:
        """Label, id and class of every key on the token."""
        return self.run(lambda do: do.session.labels())

    def check(self) -> Health:
        """Sign a fresh digest with `health-test` and verify it; a good answer is remembered for HEALTH_FOR seconds.

        No lock: two checks at once sign twice, and a fork meanwhile leaves nothing held.
        """
        seen = self._health
        if seen is not None and seen[1].ok and time.monotonic() - seen[0] < HEALTH_FOR:
            return seen[1]
        problem = ""
        try:
            self.sign(HEALTH_LABEL, hashlib.sha256(str(time.monotonic_ns()).encode()).digest())
        except HSMError as error:
            problem = str(error)
        health = Health(not problem, self.module.generation, self.module.restarts, problem)
        self._health = (time.monotonic(), health)
        return health

    def pin_key(self, label: str, key: ec.EllipticCurvePublicKey) -> ec.EllipticCurvePublicKey:
        """Remember the first public key seen under a label; HSMKeyChanged when it is another later."""
        known = self.pinned.setdefault(label, key)
        if known.public_numbers() != key.public_numbers():
            raise HSMKeyChanged(f"the token now has another {label}")
        return known

    def close(self) -> None:
        """Finalise the library, for all tokens in it."""
        self.module.close()


def verify_raw(key: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes, label: str) -> None:
    """Check r ‖ s in software; HSMKeyChanged if it does not fit."""
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, digest, _PREHASHED)
    except InvalidSignature:
        raise HSMKeyChanged(f"a signature by {label} does not verify with the pinned public key") from None
