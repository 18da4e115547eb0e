"""What the vectors are made of: keys, payload, header, signatures. Everything is deterministic (signatures by RFC 6979)."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import rfc8785
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from manifests import jws

AT = 1_800_000_000
ISSUED, ENDS, GRACE = AT - 1000, AT + 1_000_000, 30 * 86400
KEYS_FROM, KEYS_UNTIL = AT - 10**7, AT + 10**7
UID = "30154B0100001234"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
BEYOND = 2**53  # the first integer that is out of bounds everywhere
EVERYBODY = ("jose", "openssl", "jwcrypto", "joserfc", "npm-jose")


def private(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the private key of a name. It is derived from the name alone and is not a secret."""
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(f"vector key {name}".encode()).digest(), "big") >> 1, ec.SECP256R1())


ROOT, SIGNER, STATUS, REVOKED, OLD, STRANGER, OTHER_ROOT = map(private, ("root", "signer", "status", "revoked", "old", "stranger", "other"))


@dataclass(frozen=True)
class Vector:
    """One question and its answer: `ours` is `valid`, or the reason of the refusal. Without `data` the file is that of `good`.

    `accepted_by` names the programs that accept the signature nevertheless; `ask` overrides what the index asks for all vectors.
    """

    name: str
    what: str
    ours: str
    data: bytes | None = None
    accepted_by: tuple[str, ...] = EVERYBODY
    keyset: str = "keyset.sig"
    status: str | None = "status.sig"
    warning: bool = False
    ask: dict[str, int | str | None] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """Return the name of the manifest's file."""
        return "good.jws" if self.data is None else f"{self.name}.jws"


def der(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Sign deterministically (RFC 6979); return the signature in DER."""
    return key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def raw(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Sign deterministically; return r ‖ s (64 bytes)."""
    r, s = utils.decode_dss_signature(der(key, data))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def by_digest(key: ec.EllipticCurvePrivateKey) -> jws.Sign:
    """Return a function that signs a digest, as the HSM does."""

    def sign(digest: bytes) -> bytes:
        signature = key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256()), deterministic_signing=True))
        r, s = utils.decode_dss_signature(signature)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign


def kid(key: ec.EllipticCurvePrivateKey) -> str:
    """Return the thumbprint of the key (RFC 7638)."""
    return jws.thumbprint(key.public_key())


def b64(data: bytes) -> bytes:
    """Encode as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def stray(text: bytes) -> bytes:
    """Return base64url of the same bytes whose unused last bit is set. The text's length must be 2 or 3 modulo 4."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = alphabet.index(text[-1])
    if len(text) % 4 not in (2, 3) or at % 2:
        raise ValueError("the last character has no unused bit")
    return text[:-1] + alphabet[at + 1 : at + 2]


def payload(**changes: Any) -> dict[str, Any]:
    """Return a valid payload with changes."""
    return {
        "ver": 1,
        "iss": "https://sifilma.example.go.id",
        "jti": "01945b7e-8c00-7000-8000-000000000001",
        "sub": UID,
        "fn": "RW",
        "epoch": 1,
        "seq": 3,
        "iat": ISSUED,
        "nbf": ISSUED,
        "exp": ENDS,
        "grace": GRACE,
        "unit": {"hw": "CRD12140003", "model": "LEN-CRD-1", "pcid": "00112233445566778899AABBCCDDEEFF"},
        "org": {"id": "01945b7e-8c00-7000-8000-000000000002", "name": "Dinas Contoh", "kind": "regency_office"},
        "loc": {"lat_e7": -84543000, "lon_e7": 1153549000, "acc_m": 12, "src": "device", "at": ISSUED, "code": "51.06.02.1004"},
        "card": {"batch": "01945b7e-8c00-7000-8000-000000000003", "keyver": 1, "kcv": "A1B2C3"},
        "cfg": {"profile": "pcid-conf/1", "conf": "AB" * 32},
        "prev": None,
        "status": {"idx": 5, "uri": "https://sifilma.example.go.id/status/1.jws"},
    } | changes


def header(key: ec.EllipticCurvePrivateKey = SIGNER, **changes: Any) -> dict[str, Any]:
    """Return a valid header with changes; the value None removes a member."""
    return {k: v for k, v in ({"alg": "ES256", "kid": kid(key), "typ": jws.MANIFEST_TYPE} | changes).items() if v is not None}


def compact(value: dict[str, Any]) -> bytes:
    """Return JSON without white space, its members in their order."""
    return json.dumps(value, separators=(",", ":")).encode()


def signed_parts(head: bytes, body: bytes, key: ec.EllipticCurvePrivateKey = SIGNER) -> bytes:
    """Sign two parts as they are, also if they are no base64url."""
    return head + b"." + body + b"." + b64(raw(key, head + b"." + body))


def signed(body: bytes, head: dict[str, Any] | None = None, key: ec.EllipticCurvePrivateKey = SIGNER) -> bytes:
    """Return a compact JWS of these bytes."""
    return signed_parts(b64(compact(head or header(key))), b64(body), key)


def good(**changes: Any) -> bytes:
    """Return a validly signed manifest with a changed payload."""
    return signed(rfc8785.dumps(payload(**changes)))


def replaced(old: str, new: str) -> bytes:
    """Return a validly signed manifest in whose payload's text one place is replaced."""
    text = rfc8785.dumps(payload()).decode()
    if text.count(old) != 1:
        raise ValueError(f"{old} does not occur once")
    return signed(text.replace(old, new).encode("utf-8", "surrogatepass"))


def spoiled(line: bytes) -> bytes:
    """Return the JWS with byte 40 of its signature set to 0."""
    start, dot, signature = line.rpartition(b".")
    rs = base64.urlsafe_b64decode(signature + b"==")
    return start + dot + b64(rs[:40] + b"\x00" + rs[41:])
