"""One-time codes of authenticator apps (RFC 6238). Seeds are stored sealed; a time step is accepted once."""

from __future__ import annotations

import hmac
from datetime import datetime

import pyotp

from config.settings import Settings
from sifilma.kernel import sealing

STEP = 30
PURPOSE = "totp seeds"


def new_seed() -> str:
    """Return a new seed: 160 random bits in base32."""
    return pyotp.random_base32()


def provisioning_uri(seed: str, username: str) -> str:
    """Return the `otpauth://` URI that an authenticator app scans."""
    return pyotp.TOTP(seed).provisioning_uri(name=username, issuer_name="SI-FILMA")


def plain(typed: str) -> str:
    """Return a code as it is compared: people write it in groups."""
    return typed.strip().replace(" ", "")


def matching_step(seed: str, code: str, now: datetime) -> int | None:
    """Return the time step of this code, the present or the previous one (RFC 6238, section 5.2), or None."""
    present = int(now.timestamp()) // STEP
    totp = pyotp.TOTP(seed)
    for step in (present, present - 1):
        if hmac.compare_digest(totp.at(step * STEP).encode(), code.encode()):
            return step
    return None


def seal_seed(settings: Settings, user_id: str, seed: str) -> bytes:
    """Return the seed, sealed with a key from the settings instead of the HSM: an HSM outage must not stop people from signing in."""
    return sealing.seal(settings, PURPOSE, user_id, seed.encode())


def open_seed(settings: Settings, user_id: str, sealed: bytes) -> str:
    """Return the seed. Raise Unavailable if it was sealed with another SIFILMA_SECRET_KEY."""
    return sealing.open_sealed(settings, PURPOSE, user_id, sealed).decode()
