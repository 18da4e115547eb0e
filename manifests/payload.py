"""The manifest's payload (MANIFEST.md, File): every field, its type, its bounds."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal
from uuid import UUID

import rfc8785
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from manifests.encoding import Malformed, b64url, strict_json

MAX_BYTES = 4096
MAX_INT = 2**53 - 1

Hex6 = Annotated[str, Field(pattern=r"^[0-9A-F]{6}$")]
Hex16 = Annotated[str, Field(pattern=r"^[0-9A-F]{16}$")]
Hex32 = Annotated[str, Field(pattern=r"^[0-9A-F]{32}$")]
Hex64 = Annotated[str, Field(pattern=r"^[0-9A-F]{64}$")]
Seconds = Annotated[int, Field(ge=0, le=MAX_INT)]
Count = Annotated[int, Field(ge=0, le=MAX_INT)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Uri = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[a-z][a-z0-9+.-]*:")]
Hash = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]  # 43 characters hold 258 bits: the last two are zero
Identifier = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")]


def _no_boolean(value: object) -> object:
    """JSON `true` equals the integer 1 in Python: `Literal[1]` alone would accept it."""
    if isinstance(value, bool):
        raise ValueError("a number is needed")
    return value


Version = Annotated[Literal[1], BeforeValidator(_no_boolean)]


class _Part(BaseModel):
    """A frozen object that refuses keys and types it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Unit(_Part):
    """The machine the manifest opens: hardware number, model, PCID (16 bytes, upper-case hex)."""

    hw: Text
    model: Text
    pcid: Hex32


class Organisation(_Part):
    """The holder."""

    id: Identifier
    name: Text
    kind: Literal["directorate", "province_office", "regency_office", "institution", "manufacturer"]


class Location(_Part):
    """Where: 1e-7 degrees (WGS 84), accuracy in metres, source, moment of the claim, kode wilayah."""

    lat_e7: Annotated[int, Field(ge=-900_000_000, le=900_000_000)]
    lon_e7: Annotated[int, Field(ge=-1_800_000_000, le=1_800_000_000)]
    acc_m: Annotated[int, Field(ge=0, le=1_000_000)]
    src: Literal["device", "map", "typed"]
    at: Seconds
    code: Annotated[str, Field(pattern=r"^[0-9]{2}\.[0-9]{2}(\.[0-9]{2}(\.[123][0-9]{3})?)?$")]


class Card(_Part):
    """Personalisation request, master version N, key check value of the open key."""

    batch: Identifier
    keyver: Annotated[int, Field(ge=1, le=255)]
    kcv: Hex6


class Configuration(_Part):
    """`conf` = open key XOR (PCID ‖ PCID), 32 bytes hex: what makes the file a secret."""

    profile: Literal["pcid-conf/1"]
    conf: Hex64


class Status(_Part):
    """Where to look the manifest up: index and address of the signed status list."""

    idx: Count
    uri: Uri


class Manifest(_Part):
    """One card, one machine, one place, for a time."""

    ver: Version
    iss: Uri
    jti: Identifier
    sub: Hex16
    fn: Literal["R", "RW"]
    epoch: Count
    seq: Annotated[int, Field(ge=1, le=MAX_INT)]
    iat: Seconds
    nbf: Seconds
    exp: Seconds
    grace: Annotated[int, Field(ge=0, le=366 * 86400)]
    unit: Unit
    org: Organisation
    loc: Location
    card: Card
    cfg: Configuration
    prev: Hash | None
    status: Status

    @model_validator(mode="after")
    def _times_in_order(self) -> Manifest:
        if not self.nbf < self.exp:
            raise ValueError("nbf must lie before exp")
        if UUID(self.jti).version != 7:
            raise ValueError("jti must be a UUIDv7")
        return self

    def to_bytes(self) -> bytes:
        """The payload in RFC 8785 form. Malformed above 4 KiB."""
        data = rfc8785.dumps(self.model_dump(mode="json"))
        if len(data) > MAX_BYTES:
            raise Malformed(f"the payload has {len(data)} bytes, more than {MAX_BYTES}")
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Parse what a signature was verified over. Malformed, or pydantic's ValidationError."""
        if len(data) > MAX_BYTES:
            raise Malformed(f"the payload has more than {MAX_BYTES} bytes")
        return cls.model_validate(strict_json(data))


def payload_hash(payload: bytes) -> str:
    """b64url SHA-256 of the payload's bytes: what the next manifest carries as `prev`."""
    return b64url(hashlib.sha256(payload).digest())
