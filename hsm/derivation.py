"""Build the inputs for deriving card keys: NIST SP 800-108 in counter mode over AES-CMAC (docs/manifest.md)."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from hsm.errors import HSMMisuse

LABEL = b"SAM-OPEN"
KEY_BITS = 256


def fixed_input(uid: bytes) -> bytes:
    """Return label ‖ 00 ‖ UID ‖ L, which follows the counter in each block (SP 800-108r1, section 4.1).

    `uid` has 8 bytes, else HSMMisuse is raised. L is the key's length in bits, 32-bit big-endian.
    """
    if len(uid) != 8:
        raise HSMMisuse("a card UID has 8 bytes")
    return LABEL + b"\x00" + uid + KEY_BITS.to_bytes(4, "big")


def blocks(uid: bytes) -> tuple[bytes, bytes]:
    """Return the two messages whose CMACs (16 bytes each), joined, are the card's 32-byte open key."""
    # AES-CMAC gives 16 bytes, and the key has 32: hence two blocks, numbered from 1.
    fixed = fixed_input(uid)
    return (1).to_bytes(4, "big") + fixed, (2).to_bytes(4, "big") + fixed


def kcv(key: bytes) -> str:
    """Return the key check value: the first 3 bytes of AES-256-CMAC(key, 16 zero bytes), as 6 upper-case hex digits."""
    mac = CMAC(AES(key))
    mac.update(bytes(16))
    return mac.finalize()[:3].hex().upper()
