"""Mask and unmask the open key (profile `pcid-conf/1`, docs/manifest.md)."""

from __future__ import annotations


def conf(open_key: bytes, pcid: bytes) -> str:
    """Return `open_key` (32 bytes) XOR (PCID ‖ PCID) as 64 upper-case hex digits. Raise ValueError for other lengths."""
    return _mask(open_key, pcid).hex().upper()


def open_key(conf_hex: str, pcid: bytes) -> bytes:
    """Return the 32-byte open key that a machine with this 16-byte PCID computes from `conf`. Raise ValueError for other lengths."""
    return _mask(bytes.fromhex(conf_hex), pcid)


def _mask(key: bytes, pcid: bytes) -> bytes:
    if len(key) != 32 or len(pcid) != 16:
        raise ValueError("an open key has 32 bytes, a PCID 16")
    return bytes(a ^ b for a, b in zip(key, pcid + pcid, strict=True))
