"""Makes the vectors, always with the same bytes: `python -m tests.vectors.make`. Keys and signatures are deterministic (RFC 6979).

`index.json` holds the result of our verifier for each vector, and which independent programs nevertheless accept the signature:
they check less than a reader must (no dates, no rollback, no status), and some accept a header that our verifier refuses.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from manifests import jws
from manifests.keyset import Jwk, Key, Keyset, root_sha256, sign_keyset
from manifests.status import StatusList, StatusValue, sign_status

FOLDER = Path(__file__).parent
AT = 1_800_000_000
ISSUED, ENDS, GRACE = AT - 1000, AT + 1_000_000, 30 * 86400
UID = "30154B0100001234"
EVERYBODY = ("jose", "openssl", "jwcrypto", "joserfc", "npm-jose")


def private(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the private key of a name. It is derived from the name alone and is not a secret."""
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(f"vector key {name}".encode()).digest(), "big") >> 1, ec.SECP256R1())


ROOT, SIGNER, STATUS, REVOKED, OLD, STRANGER, OTHER_ROOT = map(private, ("root", "signer", "status", "revoked", "old", "stranger", "other"))


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


def signed(body: bytes, head: dict[str, Any] | None = None, key: ec.EllipticCurvePrivateKey = SIGNER) -> bytes:
    """Return a compact JWS of these bytes."""
    to_sign = b64(json.dumps(head or header(key), separators=(",", ":")).encode()) + b"." + b64(body)
    return to_sign + b"." + b64(raw(key, to_sign))


def good(**changes: Any) -> bytes:
    """Return a validly signed manifest with a changed payload."""
    return signed(rfc8785.dumps(payload(**changes)))


@dataclass(frozen=True)
class Vector:
    """One file: the result of our verifier (`valid`, or the reason of its refusal), and who accepts the signature nevertheless."""

    name: str
    data: bytes
    ours: str
    accepted_by: tuple[str, ...] = ()
    ask: tuple[tuple[str, int | str], ...] = ()


def vectors() -> Iterator[Vector]:
    """Return every vector: first faults of signatures, then faults that only a reader checks."""
    plain = good()
    head, body, signature = plain.split(b".")
    yield Vector("good", plain, "valid", EVERYBODY)
    yield Vector("good-next", good(seq=4, prev="A" * 43), "valid", EVERYBODY)
    yield from _broken_signatures(plain, head, body, signature)
    yield from _headers()
    yield from _payloads()
    yield from _readers_checks()


def _broken_signatures(plain: bytes, head: bytes, body: bytes, signature: bytes) -> Iterator[Vector]:
    raw_signature = base64.urlsafe_b64decode(signature + b"==")
    in_der = b64(der(SIGNER, head + b"." + body))
    yield Vector("alg-none", b64(b'{"alg":"none","typ":"sam-manifest+jws"}') + b"." + body + b".", "malformed")
    yield Vector("der-signature", head + b"." + body + b"." + in_der, "malformed")
    yield Vector("signature-63-bytes", head + b"." + body + b"." + b64(raw_signature[:63]), "malformed")
    yield Vector("signature-changed", head + b"." + body + b"." + b64(raw_signature[:40] + b"\x00" + raw_signature[41:]), "signature-wrong")
    yield Vector("payload-changed", head + b"." + b64(rfc8785.dumps(payload(seq=9))) + b"." + signature, "signature-wrong")
    yield Vector("zero-signature", head + b"." + body + b"." + b64(bytes(64)), "signature-wrong")
    yield Vector("padding", head + b"." + body + b"." + signature + b"==", "malformed", ("jwcrypto", "npm-jose", "openssl"))
    yield Vector("trailing-newline", plain + b"\n", "malformed", ("npm-jose", "openssl"))
    yield Vector("four-parts", plain + b".x", "malformed", ("jose",))
    yield Vector("too-long", plain + b"A" * 8192, "too-long")


def _headers() -> Iterator[Vector]:
    body = rfc8785.dumps(payload())
    mine = jws.jwk(SIGNER.public_key())
    yield Vector("unknown-kid", signed(body, key=STRANGER), "unknown-key")
    yield Vector("stranger-under-our-kid", signed(body, header(SIGNER), STRANGER), "signature-wrong")
    yield Vector("embedded-jwk", signed(body, header(STRANGER, jwk=jws.jwk(STRANGER.public_key())), STRANGER), "malformed")
    yield Vector("embedded-own-jwk", signed(body, header(jwk=mine)), "malformed", EVERYBODY)
    yield Vector("unknown-crit", signed(body, header(crit=["exp"], exp=1)), "malformed", ("jose", "openssl"))
    yield Vector("b64-false", signed(body, header(b64=False, crit=["b64"])), "malformed", ("jose", "joserfc", "npm-jose", "openssl"))
    yield Vector("wrong-typ", signed(body, header(typ="sam-keyset+jws")), "malformed", EVERYBODY)
    yield Vector("no-typ", signed(body, header(typ=None)), "malformed", EVERYBODY)
    yield Vector("revoked-key", signed(body, key=REVOKED), "revoked-key")
    yield Vector("status-keys-signature", signed(body, key=STATUS), "unknown-key")


def _payloads() -> Iterator[Vector]:
    text = rfc8785.dumps(payload()).decode()
    yield Vector("duplicate-keys", signed(text.replace('"seq":3', '"seq":3,"seq":4').encode()), "payload-not-allowed", EVERYBODY)
    yield Vector("unknown-field", good(extra=1), "payload-not-allowed", EVERYBODY)
    yield Vector("unknown-version", good(ver=2), "payload-not-allowed", EVERYBODY)
    yield Vector("float", signed(text.replace('"seq":3', '"seq":3.0').encode()), "payload-not-allowed", EVERYBODY)
    yield Vector("not-json", signed(b"seq=3"), "payload-not-allowed", EVERYBODY)
    yield Vector("text-for-number", good(seq="3"), "payload-not-allowed", EVERYBODY)


def _readers_checks() -> Iterator[Vector]:
    yield Vector("expired", good(exp=AT - GRACE - 10, iat=AT - GRACE - 500, nbf=AT - GRACE - 500), "expired", EVERYBODY)
    yield Vector("grace", good(exp=AT - 10), "valid", EVERYBODY)
    yield Vector("future", good(nbf=AT + 10), "not-yet-valid", EVERYBODY)
    yield Vector("rollback", good(seq=2), "older-than-seen", EVERYBODY, (("min_epoch", 1), ("min_seq", 3)))
    yield Vector("wrong-uid", good(sub="30154B0100009999"), "wrong-card", EVERYBODY)
    yield Vector("epoch-jump", good(epoch=7), "epoch-not-of-keyset", EVERYBODY)
    yield Vector("issued-after-its-keys-end", signed(rfc8785.dumps(payload()), key=OLD), "issued-outside-key-validity")
    yield Vector("revoked", good(status=payload()["status"] | {"idx": 6}), "revoked", EVERYBODY)
    yield Vector("suspended", good(status=payload()["status"] | {"idx": 7}), "suspended", EVERYBODY)
    yield Vector("outside-the-status-list", good(status=payload()["status"] | {"idx": 99}), "status-list-unusable", EVERYBODY)


def keyset() -> Keyset:
    """Return the keyset of the vectors."""
    entries = (
        (SIGNER, "manifest", AT + 10**7, None),
        (STATUS, "status", AT + 10**7, None),
        (REVOKED, "manifest", AT + 10**7, AT - 5),
        (OLD, "manifest", ISSUED - 1, None),
    )
    keys = [
        Key(jwk=Jwk.of(key.public_key()), use=use, nbf=AT - 10**7, exp=end, revoked_at=revoked)  # type: ignore[arg-type]  # literals
        for key, use, end, revoked in entries
    ]
    return Keyset(version=1, epoch=1, root=Jwk.of(ROOT.public_key()), keys=keys)


def files() -> dict[str, bytes]:
    """Return the content of every generated file of this folder, by name."""
    made = {f"{vector.name}.jws": vector.data for vector in vectors()}
    listed = StatusList.build(
        iss=payload()["iss"],
        number=1,
        seq=1,
        iat=AT - 10,
        exp=AT + 86400,
        size=16,
        entries=[(6, StatusValue.REVOKED), (7, StatusValue.SUSPENDED)],
    )
    public = [jws.jwk(SIGNER.public_key()) | {"kid": kid(SIGNER), "alg": "ES256", "use": "sig"}]
    index = {
        "at": AT,
        "uid": UID,
        "root_sha256": root_sha256(ROOT.public_key()),
        "vectors": {v.name: {"ours": v.ours, "accepted_by": sorted(v.accepted_by), "ask": dict(v.ask)} for v in vectors()},
    }
    return made | {
        "keyset.sig": sign_keyset(keyset(), (ROOT.public_key(), by_digest(ROOT))).encode(),
        "keyset-of-another-root.sig": sign_keyset(keyset(), (OTHER_ROOT.public_key(), by_digest(OTHER_ROOT))).encode(),
        "status.sig": sign_status(listed, kid(STATUS), by_digest(STATUS)).encode(),
        "jwks.json": json.dumps({"keys": public}, indent=1).encode() + b"\n",
        "index.json": json.dumps(index, indent=1).encode() + b"\n",
    }


if __name__ == "__main__":
    for name, data in files().items():
        (FOLDER / name).write_bytes(data)
