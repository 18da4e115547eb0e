"""One-time codes by authenticator app (RFC 6238): sealed seeds, each step accepted once."""

from __future__ import annotations

import hmac
import os
from datetime import datetime

import pyotp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from config.settings import Settings
from sifilma.kernel.errors import Unavailable

STEP = 30


def new_seed() -> str:
    """A fresh seed: 160 random bits, base32."""
    return pyotp.random_base32()


def provisioning_uri(seed: str, username: str) -> str:
    """The `otpauth://` address an authenticator app scans."""
    return pyotp.TOTP(seed).provisioning_uri(name=username, issuer_name="SI-FILMA")


def matching_step(seed: str, code: str, now: datetime) -> int | None:
    """The time step this code belongs to: the present one or the one before; None if neither."""
    present = int(now.timestamp()) // STEP
    totp = pyotp.TOTP(seed)
    for step in (present, present - 1):
        if hmac.compare_digest(totp.at(step * STEP).encode(), code.encode()):
            return step
    return None


def seal_seed(settings: Settings, user_id: str, seed: str) -> bytes:
    """AES-256-GCM under a key from the settings: an HSM outage must not stop sign-in. The account is the associated data."""
    iv = os.urandom(12)
    return iv + AESGCM(_key(settings)).encrypt(iv, seed.encode(), user_id.encode())


def open_seed(settings: Settings, user_id: str, sealed: bytes) -> str:
    """The seed; Unavailable when SIFILMA_SECRET_KEY is not the one it was sealed with."""
    try:
        return AESGCM(_key(settings)).decrypt(sealed[:12], sealed[12:], user_id.encode()).decode()
    except InvalidTag as wrong:
        raise Unavailable("One-time codes cannot be checked: the secret key of this installation has changed.") from wrong


def _key(settings: Settings) -> bytes:
    hkdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"sifilma totp seeds v1")
    return hkdf.derive(settings.secret("secret_key").encode())
