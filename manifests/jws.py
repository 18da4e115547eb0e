"""JWS compact serialisation with ES256 and a fixed protected header (RFC 7515, RFC 7518 section 3.4, RFC 7638)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from manifests.encoding import Malformed, b64url, from_b64url, strict_json

MANIFEST_TYPE = "sam-manifest+jws"
KEYSET_TYPE = "sam-keyset+jws"
STATUS_TYPE = "sam-status+jws"
PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1  # of the field of P-256
Sign = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Parts:
    """The decoded parts of a compact JWS. Its header was checked; its signature was not."""

    kid: str
    signing_input: bytes
    payload: bytes
    signature: bytes


def jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return the public key as a JWK with exactly the members that RFC 7638 hashes, in lexicographic order."""
    numbers = key.public_numbers()
    return {"crv": "P-256", "kty": "EC", "x": b64url(numbers.x.to_bytes(32, "big")), "y": b64url(numbers.y.to_bytes(32, "big"))}


def key_from_jwk(value: dict[str, Any]) -> ec.EllipticCurvePublicKey:
    """Return the public key of a JWK. Raise Malformed for other curves and for points that are not on P-256."""
    try:
        if value["kty"] != "EC" or value["crv"] != "P-256":
            raise Malformed("not a P-256 key")
        x, y = (from_b64url(value[name]) for name in ("x", "y"))
        if len(x) != 32 or len(y) != 32:
            raise Malformed("a P-256 coordinate has 32 bytes")
        numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
        if max(numbers.x, numbers.y) >= PRIME:  # the library would reduce it: one key would then have two JWKs
            raise Malformed("a P-256 coordinate is below the prime")
        return numbers.public_key()
    except (KeyError, TypeError, ValueError) as broken:
        raise Malformed("not a P-256 key") from broken


def thumbprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the RFC 7638 thumbprint (SHA-256, base64url). It is the `kid` of every signature."""
    canonical = json.dumps(jwk(key), separators=(",", ":"), sort_keys=True).encode()
    return b64url(hashlib.sha256(canonical).digest())


def signing_input(payload: bytes, kid: str, typ: str) -> bytes:
    """Return `header.payload`, both in base64url: the bytes that are signed (RFC 7515, section 5.1)."""
    header = json.dumps({"alg": "ES256", "kid": kid, "typ": typ}, separators=(",", ":")).encode()
    return f"{b64url(header)}.{b64url(payload)}".encode()


def sign(payload: bytes, kid: str, typ: str, signer: Sign) -> str:
    """Return the compact JWS, one ASCII line. `signer` takes the 32-byte SHA-256 digest and returns 64 bytes r ‖ s.

    Raise ValueError for a signature of another length.
    """
    to_sign = signing_input(payload, kid, typ)
    signature = signer(hashlib.sha256(to_sign).digest())
    if len(signature) != 64:
        raise ValueError("an ES256 signature has 64 bytes")
    return f"{to_sign.decode()}.{b64url(signature)}"


def split(data: bytes, typ: str) -> Parts:
    """Split a compact JWS into its three parts. Raise Malformed unless the header has exactly `alg`, `kid` and `typ`.

    Other members (`jwk`, `jku`, `crit`, `b64` …) are refused, because a verifier could take a key or other rules from them.
    """
    # White space is not stripped: a trailing newline makes the third part malformed, so there is one form of each file.
    parts = data.split(b".")
    if len(parts) != 3 or not all(parts):
        raise Malformed("not three parts")
    header = strict_json(from_b64url(parts[0]), max_depth=1)
    if set(header) != {"alg", "kid", "typ"} or header["alg"] != "ES256" or header["typ"] != typ:
        raise Malformed("the header is not exactly alg ES256, kid, typ " + typ)
    if not isinstance(header["kid"], str):
        raise Malformed("kid is not a string")
    signature = from_b64url(parts[2])
    if len(signature) != 64:
        raise Malformed("an ES256 signature has 64 bytes")
    return Parts(header["kid"], parts[0] + b"." + parts[1], from_b64url(parts[1]), signature)


def verify(parts: Parts, key: ec.EllipticCurvePublicKey) -> bool:
    """Return whether the signature is valid over the bytes as they were received. Nothing is serialised again."""
    der = utils.encode_dss_signature(int.from_bytes(parts.signature[:32], "big"), int.from_bytes(parts.signature[32:], "big"))
    try:
        key.verify(der, parts.signing_input, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
