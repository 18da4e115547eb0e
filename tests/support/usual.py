"""What every installation of a test has: settings, and what people sign in with."""

from __future__ import annotations

from base64 import b32encode
from functools import lru_cache
from hashlib import sha1
from typing import Any

from pydantic import SecretStr

from config.settings import Settings
from sifilma.sign_in.passwords import hash_password

UNLIMITED = {"rate_per_minute_address": 0, "rate_per_minute_actor": 0}  # a test makes in seconds what people make in hours
PATIENT = {"request_deadline": 60.0}  # a machine that others share stands still for seconds; tests of the deadline set their own
USUAL: dict[str, Any] = UNLIMITED | PATIENT | {"env": "test", "log_level": "ERROR", "log_json": False, "secret_key": SecretStr("t" * 40)}


@lru_cache(maxsize=1)
def hash_of(password: str) -> str:
    """Return the hash of a password, made once in a process."""
    return hash_password(password)


@lru_cache(maxsize=8)
def settings_in(_around: tuple[tuple[str, str], ...]) -> Settings:
    """Return the usual settings in these environment variables: to read all of them again takes 5 ms, and a World is made 2,000 times."""
    return Settings(**USUAL)


def seed_of(username: str) -> str:
    """Return the TOTP secret of a user in base32: derived from the name, so that copied databases and new Worlds agree."""
    return b32encode(sha1(username.encode(), usedforsecurity=False).digest()).decode()
