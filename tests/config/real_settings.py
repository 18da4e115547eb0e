"""Settings that production takes: nothing of them is real, but nothing says so. No such host, library or token is ever asked."""

from __future__ import annotations

import secrets
from typing import Any

from pydantic import SecretStr

HOST = "sifilma.kemendagri.go.id"
REAL: dict[str, Any] = {
    "env": "production",
    "home": "/var/lib/sifilma",
    "issuer": f"https://{HOST}",
    "public_url": f"https://{HOST}",
    "secret_key": SecretStr(secrets.token_hex(32)),
    "hsm_pin": SecretStr(secrets.token_hex(16)),
    "database_url": "postgresql://sifilma@/sifilma?host=/run/postgresql",
    "hsm_module": "/opt/vendor/lib/libcryptoki.so",
    "hsm_token_serial": "1234567890",
    "https": True,
    "trusted_proxies": 1,
}


def environment(settings: dict[str, Any]) -> dict[str, str]:
    """Return settings as environment variables."""
    clear = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in settings.items()}
    return {f"SIFILMA_{name.upper()}": str(value) for name, value in clear.items()}
