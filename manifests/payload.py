"""The payload of a manifest: every field with its type and its bounds (docs/manifest.md, File)."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from manifests.encoding import Malformed, b64url, canonical, strict_json

MAX_BYTES = 4096  # docs/manifest.md, File
MAX_INT = 2**53 - 1  # the largest integer that every JSON parser reads exactly (RFC 8785, section 3.2.2.3)

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
    """A frozen object that refuses unknown keys and does not convert types (docs/manifest.md: unknown keys are refused)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Unit(_Part):
    """The machine that the manifest opens: hardware number, model and PCID (16 bytes as 32 upper-case hex digits)."""

    hw: Text
    model: Text
    pcid: Hex32


class Organisation(_Part):
    """The organisation that holds the card."""

    id: Identifier
    name: Text
    kind: Literal["directorate", "province_office", "regency_office", "institution", "manufacturer"]


class Location(_Part):
    """The place: 1e-7 degrees (WGS 84), accuracy in metres, source, moment of the statement (seconds), region code (kode wilayah)."""

    lat_e7: Annotated[int, Field(ge=-900_000_000, le=900_000_000)]
    lon_e7: Annotated[int, Field(ge=-1_800_000_000, le=1_800_000_000)]
    acc_m: Annotated[int, Field(ge=0, le=1_000_000)]
    src: Literal["device", "map", "typed"]
    at: Seconds
    code: Annotated[str, Field(pattern=r"^[0-9]{2}\.[0-9]{2}(\.[0-9]{2}(\.[123][0-9]{3})?)?$")]


class Card(_Part):
    """Identifier of the personalisation request, version of the master key, and key check value of the open key (6 hex digits)."""

    batch: Identifier
    keyver: Annotated[int, Field(ge=1, le=255)]
    kcv: Hex6


class Configuration(_Part):
    """The masked open key: `conf` = open key XOR (PCID ‖ PCID), 32 bytes as 64 hex digits. It makes the manifest a secret."""

    profile: Literal["pcid-conf/1"]
    conf: Hex64


class Status(_Part):
    """The manifest's index in a signed status list, and the address of this list."""

    idx: Count
    uri: Uri


class Manifest(_Part):
    """A manifest: it allows one card in one machine at one place for a period. Times are seconds since 1970 (UTC)."""

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
        """Return the payload in RFC 8785 form. Raise Malformed if it is longer than 4 KiB."""
        data = canonical(self.model_dump(mode="json"))
        if len(data) > MAX_BYTES:
            raise Malformed(f"the payload has {len(data)} bytes, more than {MAX_BYTES}")
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Parse a payload whose signature was verified. Raise Malformed for its form, pydantic's ValidationError for its content."""
        if len(data) > MAX_BYTES:
            raise Malformed(f"the payload has more than {MAX_BYTES} bytes")
        return cls.model_validate(strict_json(data))


def payload_hash(payload: bytes) -> str:
    """Return the SHA-256 of the payload's bytes in base64url. The next manifest of the card carries it as `prev`."""
    return b64url(hashlib.sha256(payload).digest())
