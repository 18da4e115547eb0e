"""The keyset: which keys may sign what, when; signed by the pinned root (MANIFEST.md, Trust)."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import rfc8785
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from manifests import jws
from manifests.encoding import Malformed, strict_json
from manifests.payload import Count, Seconds

MAX_BYTES = 64 * 1024
Use = Literal["manifest", "status", "audit", "document"]


class KeysetRefused(ValueError):
    """The keyset cannot be trusted; the text says why."""


class Jwk(BaseModel):
    """A P-256 public key."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    y: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]

    @classmethod
    def of(cls, key: ec.EllipticCurvePublicKey) -> Jwk:
        """The JWK of a key."""
        return cls.model_validate(jws.jwk(key))

    def key(self) -> ec.EllipticCurvePublicKey:
        """The key; Malformed if the point is not on the curve."""
        return jws.key_from_jwk(self.model_dump())


class Key(BaseModel):
    """One key with its use and its time. `revoked_at` set: it verifies nothing any more."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    jwk: Jwk
    use: Use
    nbf: Seconds
    exp: Seconds
    revoked_at: Seconds | None = None

    @property
    def kid(self) -> str:
        """RFC 7638 thumbprint."""
        return jws.thumbprint(self.jwk.key())


class Keyset(BaseModel):
    """Version N of the keys of an installation. `epoch` rises with a new root."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Annotated[int, Field(ge=1)]
    epoch: Count
    root: Jwk
    keys: Annotated[list[Key], Field(min_length=1, max_length=64)]

    @model_validator(mode="after")
    def _one_key_once(self) -> Keyset:
        kids = [key.kid for key in self.keys]
        if len(set(kids)) != len(kids) or jws.thumbprint(self.root.key()) in kids:
            raise ValueError("a key occurs twice")
        return self

    def to_bytes(self) -> bytes:
        """RFC 8785 form."""
        return rfc8785.dumps(self.model_dump(mode="json"))

    def find(self, kid: str, use: Use) -> Key | None:
        """The key of this id for this use, None if there is none."""
        return next((key for key in self.keys if key.use == use and key.kid == kid), None)

    def jwks(self) -> dict[str, Any]:
        """The same keys as a plain JWKS (RFC 7517), revoked ones left out."""
        plain = {"alg": "ES256", "use": "sig"}
        return {"keys": [key.jwk.model_dump() | plain | {"kid": key.kid} for key in self.keys if key.revoked_at is None]}


def root_sha256(key: ec.EllipticCurvePublicKey) -> str:
    """The pin: SHA-256 (hex) of the root's SubjectPublicKeyInfo (DER)."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def sign_keyset(keyset: Keyset, *signers: tuple[ec.EllipticCurvePublicKey, jws.Sign]) -> str:
    """The file: one line per signing root (two at a root change), the same payload each."""
    payload = keyset.to_bytes()
    return "".join(jws.sign(payload, jws.thumbprint(key), jws.KEYSET_TYPE, signer) + "\n" for key, signer in signers)


def verify_keyset(data: bytes, root_pin: str) -> Keyset:
    """The keyset, if the root it names has this pin and signed it. KeysetRefused otherwise.

    After a root change the file has a second line by the old root: with it `verify_root_change` moves a verifier's pin.
    """
    if len(data) > MAX_BYTES:
        raise KeysetRefused("the keyset is too large")
    lines = data.removesuffix(b"\n").split(b"\n")
    if not 1 <= len(lines) <= 2:
        raise KeysetRefused("a keyset has one line, or two at a root change")
    try:
        parts = [jws.split(line, jws.KEYSET_TYPE) for line in lines]
        keyset = Keyset.model_validate(strict_json(parts[0].payload, max_depth=5))
        return _trusted(keyset, parts, root_pin.lower().replace(":", ""))
    except (Malformed, ValidationError) as broken:
        raise KeysetRefused("the keyset is malformed") from broken


def _trusted(keyset: Keyset, parts: list[jws.Parts], pin: str) -> Keyset:
    root = keyset.root.key()
    if any(part.payload != parts[0].payload for part in parts):
        raise KeysetRefused("the lines of the keyset differ")
    named = [part for part in parts if part.kid == jws.thumbprint(root)]
    if len(named) != 1 or not jws.verify(named[0], root):
        raise KeysetRefused("the keyset is not signed by the root it names")
    if root_sha256(root) == pin:
        return keyset
    raise KeysetRefused("the keyset is not signed by the pinned root")


def verify_root_change(data: bytes, old_root: ec.EllipticCurvePublicKey) -> Keyset:
    """The new keyset, if the old root signed it together with the new one: how a verifier moves its pin."""
    lines = data.removesuffix(b"\n").split(b"\n")
    try:
        parts = [jws.split(line, jws.KEYSET_TYPE) for line in lines]
    except Malformed as broken:
        raise KeysetRefused("the keyset is malformed") from broken
    by_old = [part for part in parts if part.kid == jws.thumbprint(old_root)]
    if len(parts) != 2 or len(by_old) != 1 or not jws.verify(by_old[0], old_root):
        raise KeysetRefused("the old root did not sign this keyset")
    try:
        new_root = Keyset.model_validate(strict_json(parts[0].payload, max_depth=5)).root.key()
    except ValueError as broken:
        raise KeysetRefused("the keyset is malformed") from broken
    return verify_keyset(data, root_sha256(new_root))
