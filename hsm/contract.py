"""The ports the application uses, as Protocols: what each may raise is in `hsm.errors`."""

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


class Sealer(Protocol):
    """Encrypts small secrets under a named AES-256 key."""

    def seal(self, label: str, plaintext: bytes, associated_data: bytes) -> bytes:
        """IV (12 bytes) ‖ ciphertext ‖ tag (16 bytes). Raises as `Signer.sign`."""
        ...

    def open_sealed(self, label: str, sealed: bytes, associated_data: bytes) -> bytes:
        """The plaintext; HSMMisuse when sealed data or associated data were changed."""
        ...


class CardKeys(Protocol):
    """Derives the open key of a card and authenticates tokens."""

    def derive_open_key(self, version: int, uid: bytes) -> bytes:
        """32 bytes for an 8-byte UID. Raises as `Signer.sign`."""
        ...

    def hmac(self, label: str, message: bytes) -> bytes:
        """HMAC-SHA-256, 32 bytes. Raises as `Signer.sign`."""
        ...
