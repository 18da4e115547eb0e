"""Access to a hardware security module over PKCS#11: tokens, keys, signing, derivation and sealing.

The package imports nothing of the application (an import contract in pyproject.toml checks it). Callers use `HSM` and catch `HSMError`.
"""

from hsm.errors import (
    HSMCredential,
    HSMError,
    HSMKeyAmbiguous,
    HSMKeyChanged,
    HSMKeyMissing,
    HSMMisuse,
    HSMRefused,
    HSMUnavailable,
)
from hsm.keys import KeyInfo, KeyKind, KeyPlan
from hsm.module import TokenConfig, TokenInfo
from hsm.pair import HSMPair
from hsm.token import HSM, Health, Operations

__all__ = [
    "HSM",
    "HSMCredential",
    "HSMError",
    "HSMKeyAmbiguous",
    "HSMKeyChanged",
    "HSMKeyMissing",
    "HSMMisuse",
    "HSMPair",
    "HSMRefused",
    "HSMUnavailable",
    "Health",
    "KeyInfo",
    "KeyKind",
    "KeyPlan",
    "Operations",
    "TokenConfig",
    "TokenInfo",
]
