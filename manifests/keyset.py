"""The keyset: it lists which key may sign what, and when. The pinned root signs it (docs/manifest.md, Trust)."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Annotated, Any, Literal

import rfc8785
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from manifests import jws
from manifests.encoding import Malformed, strict_json
from manifests.payload import MAX_INT, Count, Seconds

MAX_BYTES = 64 * 1024  # checked before anything is parsed; 64 keys in two lines need about 40 KiB
Use = Literal["manifest", "status", "audit", "document"]


class KeysetRefused(ValueError):
    """The keyset cannot be trusted. The text says why."""


class KeysetOlder(KeysetRefused):
    """The keyset is sound, but a newer one was seen already."""


class Jwk(BaseModel):
    """A P-256 public key (RFC 7517, RFC 7518 section 6.2.1)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]
    y: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]

    @classmethod
    def of(cls, key: ec.EllipticCurvePublicKey) -> Jwk:
        """Return the JWK of a public key."""
        return cls.model_validate(jws.jwk(key))

    def key(self) -> ec.EllipticCurvePublicKey:
        """Return the public key. Raise Malformed if the point is not on the curve."""
        return jws.key_from_jwk(self.model_dump())


class Key(BaseModel):
    """One key with its use and its period (seconds since 1970). A key with `revoked_at` verifies nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    jwk: Jwk
    use: Use
    nbf: Seconds
    exp: Seconds
    revoked_at: Seconds | None = None

    @cached_property
    def kid(self) -> str:
        """Return the RFC 7638 thumbprint of the key. It is asked for at each signature, and costs 50 µs to make."""
        return jws.thumbprint(self.jwk.key())


class Keyset(BaseModel):
    """Version N of the keys of an installation. `epoch` grows when the root changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Annotated[int, Field(ge=1, le=MAX_INT)]
    epoch: Count
    root: Jwk
    keys: Annotated[list[Key], Field(min_length=1, max_length=64)]

    @model_validator(mode="after")
    def _one_key_once(self) -> Keyset:
        # A key has one use: what it signs for one purpose must not pass for another. The root signs keysets and certificates only.
        kids = [key.kid for key in self.keys]
        if len(set(kids)) != len(kids) or jws.thumbprint(self.root.key()) in kids:
            raise ValueError("a key occurs twice")
        return self

    def to_bytes(self) -> bytes:
        """Return the RFC 8785 form, the bytes that are signed."""
        return rfc8785.dumps(self.model_dump(mode="json"))

    def find(self, kid: str, use: Use) -> Key | None:
        """Return the key with this thumbprint for this use, or None."""
        return next((key for key in self.keys if key.use == use and key.kid == kid), None)

    def jwks(self) -> dict[str, Any]:
        """Return the keys as a JWKS (RFC 7517) for general JOSE software. Revoked keys are left out, because a JWKS cannot mark them."""
        plain = {"alg": "ES256", "use": "sig"}
        return {"keys": [key.jwk.model_dump() | plain | {"kid": key.kid} for key in self.keys if key.revoked_at is None]}


def root_sha256(key: ec.EllipticCurvePublicKey) -> str:
    """Return the pin of a root: SHA-256 (hex) of its SubjectPublicKeyInfo in DER."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def sign_keyset(keyset: Keyset, *signers: tuple[ec.EllipticCurvePublicKey, jws.Sign]) -> str:
    """Return the keyset's file: the same payload signed by each root, one line each. There are two lines at a root change."""
    payload = keyset.to_bytes()
    return "".join(jws.sign(payload, jws.thumbprint(key), jws.KEYSET_TYPE, signer) + "\n" for key, signer in signers)


def verify_keyset(data: bytes, root_pin: str, min_version: int = 0) -> Keyset:
    """Return the keyset if it names a root with this pin and that root signed it. Raise KeysetRefused otherwise.

    `min_version` is the highest version that the verifier has seen: an older one, which may lack a revocation, is refused.

    After a root change the file has a second line, signed by the old root. `verify_root_change` uses it to move a verifier's pin.
    """
    keyset, parts = _parse(data)
    _check_root_signed(keyset, parts)
    if root_sha256(keyset.root.key()) != root_pin.lower().replace(":", ""):
        raise KeysetRefused("the keyset is not signed by the pinned root")
    if keyset.version < min_version:
        raise KeysetOlder(f"version {keyset.version} of the keyset is older than {min_version}, which was seen already")
    return keyset


def verify_root_change(data: bytes, held: Keyset) -> Keyset:
    """Return the new keyset if the root of the keyset that the verifier holds signed it together with the new root.

    Raise KeysetRefused otherwise. The verifier then pins the new root and holds the new keyset. `version` and `epoch` must be higher,
    so that nobody can move a pin with an older file.
    """
    keyset, parts = _parse(data)
    _check_root_signed(keyset, parts)
    old_root = held.root.key()
    old_kid = jws.thumbprint(old_root)
    by_old = [part for part in parts if part.kid == old_kid]
    if len(parts) != 2 or len(by_old) != 1 or not jws.verify(by_old[0], old_root):
        raise KeysetRefused("the old root did not sign this keyset")
    if old_kid in (jws.thumbprint(keyset.root.key()), *(key.kid for key in keyset.keys)):
        raise KeysetRefused("the old root is still in the keyset")
    if keyset.version <= held.version or keyset.epoch <= held.epoch:
        raise KeysetRefused("the keyset is not newer than the one before the change")
    return keyset


def _parse(data: bytes) -> tuple[Keyset, list[jws.Parts]]:
    """Check the form of every line. No signature is verified here: the payload names the key that verifies it."""
    if len(data) > MAX_BYTES:
        raise KeysetRefused("the keyset is too large")
    lines = data.removesuffix(b"\n").split(b"\n")
    if len(lines) > 2:
        raise KeysetRefused("a keyset has one line, or two at a root change")
    try:
        parts = [jws.split(line, jws.KEYSET_TYPE) for line in lines]
        # A keyset is one level deeper than a manifest: object, list of keys, key, JWK.
        keyset = Keyset.model_validate(strict_json(parts[0].payload, max_depth=5))
    except (Malformed, ValidationError) as broken:
        raise KeysetRefused("the keyset is malformed") from broken
    if any(part.payload != parts[0].payload for part in parts):
        raise KeysetRefused("the lines of the keyset differ")
    return keyset, parts


def _check_root_signed(keyset: Keyset, parts: list[jws.Parts]) -> None:
    root = keyset.root.key()
    named = [part for part in parts if part.kid == jws.thumbprint(root)]
    if len(named) != 1 or not jws.verify(named[0], root):
        raise KeysetRefused("the keyset is not signed by the root it names")
