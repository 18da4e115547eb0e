"""What part of the application asks of the HSM as a Protocol; what it may raise is in `hsm.errors`."""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec


class Signer(Protocol):
    """Signs digests with a named P-256 key."""

    def sign(self, label: str, digest: bytes) -> bytes:
        """64 bytes r ‖ s over a 32-byte digest. Raises HSMUnavailable, HSMCredential, HSMKeyMissing, HSMMisuse."""
        ...

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey:
        """The key's public half. Raises as `sign`."""
        ...
