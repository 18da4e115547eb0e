"""Define what the application needs of an HSM, as Protocols. `hsm.errors` lists what each method may raise."""

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


class Sealer(Protocol):
    """Encrypts small secrets under a named AES-256 key."""

    def seal(self, label: str, plaintext: bytes, associated_data: bytes) -> bytes:
        """Return IV (12 bytes) ‖ ciphertext ‖ tag (16 bytes). Raise the same errors as `Signer.sign`."""
        ...

    def open_sealed(self, label: str, sealed: bytes, associated_data: bytes) -> bytes:
        """Return the plaintext. Raise HSMMisuse when the sealed data or the associated data were changed."""
        ...


class CardKeys(Protocol):
    """Derives the open key of a card and computes the MACs of tokens."""

    def derive_open_key(self, version: int, uid: bytes) -> bytes:
        """Return the 32-byte open key for an 8-byte UID. Raise the same errors as `Signer.sign`."""
        ...

    def hmac(self, label: str, message: bytes) -> bytes:
        """Return the HMAC-SHA-256 of `message`, 32 bytes. Raise the same errors as `Signer.sign`."""
        ...
