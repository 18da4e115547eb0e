"""One-time codes by authenticator app (RFC 6238): sealed seeds, each step accepted once."""

from __future__ import annotations

import hmac
from datetime import datetime

import pyotp

from config.settings import Settings
from sifilma.kernel import sealing

STEP = 30
PURPOSE = "totp seeds"


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
    """Sealed under a key from the settings: an HSM outage must not stop sign-in."""
    return sealing.seal(settings, PURPOSE, user_id, seed.encode())


def open_seed(settings: Settings, user_id: str, sealed: bytes) -> str:
    """The seed; Unavailable when SIFILMA_SECRET_KEY is not the one it was sealed with."""
    return sealing.open_sealed(settings, PURPOSE, user_id, sealed).decode()
