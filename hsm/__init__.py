"""PKCS#11: tokens, keys, signing, derivation, sealing. Knows nothing of the application above it."""

from hsm.errors import (
    HSMCredential,
    HSMError,
    HSMKeyAmbiguous,
    HSMKeyChanged,
    HSMKeyMissing,
    HSMMisuse,
    HSMUnavailable,
)
from hsm.keys import KeyInfo, KeyKind, KeyPlan
from hsm.module import TokenConfig
from hsm.token import HSM, Health, Operations

__all__ = [
    "HSM",
    "HSMCredential",
    "HSMError",
    "HSMKeyAmbiguous",
    "HSMKeyChanged",
    "HSMKeyMissing",
    "HSMMisuse",
    "HSMUnavailable",
    "Health",
    "KeyInfo",
    "KeyKind",
    "KeyPlan",
    "Operations",
    "TokenConfig",
]
