"""Signed status lists with two bits per manifest (docs/manifest.md, Status).

The packing follows the IETF Token Status List. The format is fixed here, so that a later draft of it cannot change stored lists.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from enum import IntEnum
from typing import Annotated, Literal

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from manifests import jws
from manifests.encoding import Malformed, b64url, from_b64url, strict_json
from manifests.payload import MAX_INT, Seconds, Uri

MAX_ENTRIES = 1 << 22  # bounds what a hostile list may inflate to (1 MiB)
MAX_BYTES = 2 * 1024 * 1024  # of `lst`, which is base64url
MAX_FILE = 3 * 1024 * 1024  # checked before anything is parsed; base64url of the longest `lst` is 2.7 MiB


class StatusValue(IntEnum):
    """The meaning of the two bits of an entry."""

    VALID = 0
    REVOKED = 1
    SUSPENDED = 2


class StatusRefused(ValueError):
    """The status list cannot be used. The text says why."""


class StatusList(BaseModel):
    """The payload. `lst` = base64url(zlib(bits)), four entries per byte, least significant bits first."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    iss: Uri
    list: Annotated[int, Field(ge=1, le=MAX_INT)]
    seq: Annotated[int, Field(ge=1, le=MAX_INT)]
    iat: Seconds
    exp: Seconds
    bits: Literal[2]
    lst: Annotated[str, Field(min_length=1, max_length=MAX_BYTES)]

    @classmethod
    def build(
        cls, *, iss: str, number: int, seq: int, iat: int, exp: int, size: int, entries: Iterable[tuple[int, StatusValue]]
    ) -> StatusList:
        """Return a list of `size` entries (a multiple of 4) that are VALID except for `entries`.

        Raise IndexError for an index outside the list.
        """
        packed = bytearray((size + 3) // 4)
        for index, value in entries:
            if not 0 <= index < size:
                raise IndexError(f"index {index} is outside the list of {size}")
            packed[index // 4] |= int(value) << (index % 4 * 2)
        return cls(iss=iss, list=number, seq=seq, iat=iat, exp=exp, bits=2, lst=b64url(zlib.compress(bytes(packed), 9)))

    def unpacked(self) -> bytes:
        """Return the inflated bits. Raise Malformed if `lst` is not zlib data, is cut, or holds more than MAX_ENTRIES."""
        inflater = zlib.decompressobj()
        try:
            # decompress() stops at the limit instead of filling the memory; `eof` is then False.
            data = inflater.decompress(from_b64url(self.lst), MAX_ENTRIES // 4)
        except zlib.error as broken:
            raise Malformed("lst is not zlib") from broken
        if not inflater.eof or inflater.unused_data:
            raise Malformed("lst is cut, too long, or followed by something")
        return data

    def entries(self) -> dict[int, StatusValue]:
        """Return the entries that are not VALID, by index. Those of the reserved value 3 are left out. Raise as `unpacked` does."""
        # Two bits an entry, four entries a byte, the lowest bits first (docs/manifest.md, Status).
        found = {at * 4 + part: byte >> part * 2 & 3 for at, byte in enumerate(self.unpacked()) if byte for part in range(4)}
        return {index: StatusValue(value) for index, value in found.items() if value in (1, 2)}

    def value(self, index: int) -> StatusValue:
        """Return the value at `index`. Raise Malformed for an index outside the list and for the reserved value 3."""
        data = self.unpacked()
        if not 0 <= index < len(data) * 4:
            raise Malformed("the index lies outside the list")
        bits = data[index // 4] >> (index % 4 * 2) & 3
        if bits == 3:
            raise Malformed("status value 3 is reserved")
        return StatusValue(bits)


def sign_status(status: StatusList, kid: str, signer: jws.Sign) -> str:
    """Return the signed list, one ASCII line."""
    return jws.sign(rfc8785.dumps(status.model_dump(mode="json")), kid, jws.STATUS_TYPE, signer)


def split_status(data: bytes) -> jws.Parts:
    """Split a list without parsing its payload. Raise StatusRefused if it is too large or no JWS of this type.

    The caller needs the `kid` to choose the key for `verify_status`.
    """
    if len(data) > MAX_FILE:
        raise StatusRefused("the status list is too large")
    try:
        return jws.split(data.removesuffix(b"\n"), jws.STATUS_TYPE)
    except Malformed as broken:
        raise StatusRefused("the status list is malformed") from broken


def parse_status(data: bytes) -> tuple[jws.Parts, StatusList]:
    """Parse a list without checking its signature. Raise StatusRefused if it is malformed."""
    parts = split_status(data)
    return parts, _content(parts)


def verify_status(data: bytes, key: ec.EllipticCurvePublicKey, *, min_seq: int = 0) -> StatusList:
    """Return the list if this key signed it and its `seq` is at least `min_seq`. Raise StatusRefused otherwise.

    No byte of the payload is parsed before the signature was verified.
    """
    parts = split_status(data)
    if parts.kid != jws.thumbprint(key) or not jws.verify(parts, key):
        raise StatusRefused("the status list is not signed by the expected key")
    status = _content(parts)
    if status.seq < min_seq:
        raise StatusRefused("the status list is older than one already seen")
    return status


def _content(parts: jws.Parts) -> StatusList:
    try:
        return StatusList.model_validate(strict_json(parts.payload))
    except (Malformed, ValidationError) as broken:
        raise StatusRefused("the status list is malformed") from broken
