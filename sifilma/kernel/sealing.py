"""Seal small secrets under a key from the settings, for what must work while the HSM is away (sign-in, the outbox)."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from config.settings import Settings
from sifilma.kernel.errors import Unavailable


def seal(settings: Settings, purpose: str, row: UUID | str, secret: bytes) -> bytes:
    """Encrypt with AES-256-GCM under the key of `purpose`. Return nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes).

    The row's id is the associated data, so a sealed value that is copied to another row cannot be opened.
    """
    nonce = os.urandom(12)
    return nonce + AESGCM(key(settings.secret("secret_key"), purpose)).encrypt(nonce, secret, str(row).encode())


def open_sealed(settings: Settings, purpose: str, row: UUID | str, sealed: bytes) -> bytes:
    """Return the secret. Raise Unavailable if neither the present nor the previous secret key is the one it was sealed with."""
    for one in keys(settings, purpose):
        with suppress(InvalidTag):
            return AESGCM(one).decrypt(sealed[:12], sealed[12:], str(row).encode())
    raise Unavailable("A sealed value cannot be opened: the secret key of this installation has changed.")


def seal_anew(settings: Settings, purpose: str, row: UUID | str, sealed: bytes) -> bytes | None:
    """Return the secret sealed with the present key, or None if it is already. Raise Unavailable as `open_sealed` does."""
    with suppress(InvalidTag):
        AESGCM(keys(settings, purpose)[0]).decrypt(sealed[:12], sealed[12:], str(row).encode())
        return None
    return seal(settings, purpose, row, open_sealed(settings, purpose, row, sealed))


def keys(settings: Settings, purpose: str) -> tuple[bytes, ...]:
    """Return the keys of a purpose: that of SIFILMA_SECRET_KEY, and that of SIFILMA_SECRET_KEY_PREVIOUS where it is set."""
    previous = settings.optional_secret("secret_key_previous")
    return tuple(key(secret, purpose) for secret in (settings.secret("secret_key"), previous) if secret)


@lru_cache(maxsize=16)
def key(secret: str, purpose: str) -> bytes:
    """Return 32 bytes by HKDF-SHA-256 (RFC 5869), a different key for each purpose."""
    # No salt: the secret is random already (RFC 5869, section 3.1). `info` separates the purposes.
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"sifilma {purpose} v1".encode()).derive(secret.encode())
