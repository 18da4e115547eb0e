"""The masked open key (profile `pcid-conf/1`)."""

from __future__ import annotations


def conf(open_key: bytes, pcid: bytes) -> str:
    """`open_key` (32 bytes) XOR (PCID ‖ PCID), as 64 upper-case hex digits. ValueError for other lengths."""
    return _mask(open_key, pcid).hex().upper()


def open_key(conf_hex: str, pcid: bytes) -> bytes:
    """The 32-byte open key a machine with this PCID computes from `conf`."""
    return _mask(bytes.fromhex(conf_hex), pcid)


def _mask(key: bytes, pcid: bytes) -> bytes:
    if len(key) != 32 or len(pcid) != 16:
        raise ValueError("an open key has 32 bytes, a PCID 16")
    return bytes(a ^ b for a, b in zip(key, pcid + pcid, strict=True))
