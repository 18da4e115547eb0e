"""What part of the application asks of the HSM as a Protocol; what it may raise is in `hsm.errors`."""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec


class Signer(Protocol):
    """Signs digests with a named P-256 key."""

    def sign(self, label: str, digest: bytes) -> bytes:
        """Return the signature of a 32-byte digest: 64 bytes r ‖ s.

        Raise HSMUnavailable, HSMCredential, HSMKeyMissing, HSMKeyAmbiguous, HSMKeyChanged or HSMMisuse.
        """
        ...

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey:
        """Return the key's public half. Raise the same errors as `sign`."""
        ...
