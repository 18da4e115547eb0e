"""The vectors whose fault (or whose harmless surprise) lies in the manifest's file, or in what the reader knows of the card."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import rfc8785

from manifests import jws
from tests.vectors.parts import (
    AT,
    BEYOND,
    ENDS,
    EVERYBODY,
    GRACE,
    ISSUED,
    KEYS_FROM,
    OLD,
    ORDER,
    REVOKED,
    SIGNER,
    STATUS,
    STRANGER,
    Vector,
    b64,
    compact,
    der,
    good,
    header,
    kid,
    payload,
    replaced,
    signed,
    signed_parts,
    spoiled,
    stray,
)

MALFORMED, PAYLOAD = "malformed", "payload-not-allowed"
NOBODY = ()
OPENSSL = ("openssl",)  # it is given the signed bytes and the signature, and sees no header
LENIENT = ("npm-jose", "openssl")
NOT_JOSERFC = ("jose", "jwcrypto", "npm-jose", "openssl")  # joserfc limits a header to 512 bytes


def vectors() -> Iterator[Vector]:
    """Return these vectors in the order of the index."""
    previous = b64(hashlib.sha256(rfc8785.dumps(payload())).digest()).decode()
    yield Vector("good", "a good manifest", "valid")
    yield Vector("good-next", "the card's next manifest: seq 4, prev is the hash of good's payload", "valid", good(seq=4, prev=previous))
    yield from _lengths()
    yield from _parts()
    yield from _signatures()
    yield from _headers()
    yield from _header_bytes()
    yield from _keys()
    yield from _json()
    yield from _json_that_is_allowed()
    yield from _members()
    yield from _bounds()
    yield from _bounds_that_are_allowed()
    yield from _texts()
    yield from _readers_checks()
    yield from _rollback()
    yield from _times()


def _good_parts() -> tuple[bytes, bytes, bytes]:
    head, body, signature = good().split(b".")
    return head, body, signature


def _filled(length: int) -> bytes:
    """Return a validly signed payload of exactly this many bytes: white space after the value fills it."""
    return rfc8785.dumps(payload()).ljust(length)


def _lengths() -> Iterator[Vector]:
    yield Vector("too-long", "8192 characters after the signature", "too-long", good() + b"A" * 8192, NOBODY)
    long_header = b64(compact(header()).ljust(702))
    yield Vector("file-6486-bytes", "valid but for its length", "too-long", signed_parts(long_header, b64(_filled(4096))), NOT_JOSERFC)
    longest_header = b64(compact(header()).ljust(701))
    yield Vector("file-6485-bytes", "the longest file", "valid", signed_parts(longest_header, b64(_filled(4096))), NOT_JOSERFC)
    yield Vector("payload-4097-bytes", "a payload that is too long, in a file that is not", PAYLOAD, signed(_filled(4097)))
    yield Vector("payload-4096-bytes", "the longest payload", "valid", signed(_filled(4096)))


def _parts() -> Iterator[Vector]:
    head, body, signature = _good_parts()
    start = head + b"." + body + b"."
    yield Vector("trailing-newline", "LF after the signature", MALFORMED, good() + b"\n", LENIENT)
    yield Vector("padding", "== after the signature", MALFORMED, good() + b"==", ("jwcrypto", *LENIENT))
    yield Vector("four-parts", ".x after the signature", MALFORMED, good() + b".x", ("jose",))
    yield Vector("five-parts", "as many parts as a JWE", MALFORMED, good() + b".AAAA.AAAA", ("jose",))
    yield Vector("two-parts", "no signature, and no dot before it", MALFORMED, head + b"." + body, NOBODY)
    yield Vector(
        "stray-bits-in-signature",
        "the last character's unused bits are not zero",
        MALFORMED,
        start + stray(signature),
        ("jwcrypto", *LENIENT),
    )
    yield Vector(
        "stray-bits-in-payload", "the same in the payload, signed so", MALFORMED, signed_parts(head, stray(body)), ("jose", *LENIENT)
    )
    yield Vector("stray-bits-in-header", "the same in the header, signed so", MALFORMED, signed_parts(stray(head), body), LENIENT)
    yield Vector(
        "base64-with-plus",
        "the alphabet of plain base64 in the signature",
        MALFORMED,
        start + signature.replace(b"-", b"+"),
        ("jwcrypto", "openssl"),
    )
    broken = body[:100] + b"\n" + body[100:]
    yield Vector("line-end-in-payload", "LF inside the second part, signed so", MALFORMED, signed_parts(head, broken), ("jose", *LENIENT))


def _signatures() -> Iterator[Vector]:
    head, body, signature = _good_parts()
    start = head + b"." + body + b"."
    rs = base64.urlsafe_b64decode(signature + b"==")
    other_s = (ORDER - int.from_bytes(rs[32:], "big")).to_bytes(32, "big")
    yield Vector("der-signature", "the third part is ASN.1 DER", MALFORMED, start + b64(der(SIGNER, head + b"." + body)), NOBODY)
    yield Vector("signature-63-bytes", "the last byte is missing", MALFORMED, start + b64(rs[:63]), NOBODY)
    yield Vector("signature-65-bytes", "a zero byte after s", MALFORMED, start + b64(rs + b"\x00"), NOBODY)
    yield Vector("signature-changed", "byte 40 of the signature set to 0", "signature-wrong", spoiled(good()), NOBODY)
    yield Vector(
        "payload-changed",
        "seq 9 in the payload, the signature of good",
        "signature-wrong",
        head + b"." + b64(rfc8785.dumps(payload(seq=9))) + b"." + signature,
        NOBODY,
    )
    yield Vector("zero-signature", "64 zero bytes", "signature-wrong", start + b64(bytes(64)), NOBODY)
    yield Vector("s-is-the-order", "s = n, out of range", "signature-wrong", start + b64(rs[:32] + ORDER.to_bytes(32, "big")), NOBODY)
    yield Vector("s-negated", "n - s in place of s: ECDSA is malleable", "valid", start + b64(rs[:32] + other_s))


def _headers() -> Iterator[Vector]:
    """Headers whose signature fits, or that have one fault only."""
    body = rfc8785.dumps(payload())
    mine, strangers = jws.jwk(SIGNER.public_key()), jws.jwk(STRANGER.public_key())
    none = b64(b'{"alg":"none","typ":"sam-manifest+jws"}') + b"." + b64(body) + b"."
    yield Vector("alg-none", "alg none, no kid, empty third part", MALFORMED, none, NOBODY)
    for name, alg in (("alg-none-signed", "none"), ("alg-es384", "ES384"), ("alg-hs256", "HS256"), ("alg-in-lower-case", "es256")):
        yield Vector(name, f"alg {alg}, with the ES256 signature of exactly these bytes", MALFORMED, signed(body, header(alg=alg)), OPENSSL)
    yield Vector(
        "embedded-jwk",
        "header has jwk, a stranger's key, signed by it",
        MALFORMED,
        signed(body, header(STRANGER, jwk=strangers), STRANGER),
        NOBODY,
    )
    yield Vector("embedded-own-jwk", "header has jwk, the right key", MALFORMED, signed(body, header(jwk=mine)))
    yield Vector(
        "unknown-crit", 'header has crit: ["exp"] and exp', MALFORMED, signed(body, header(crit=["exp"], exp=1)), ("jose", "openssl")
    )
    not_encoded = signed(body, header(b64=False, crit=["b64"]))
    yield Vector("b64-false", 'header has b64: false and crit: ["b64"]', MALFORMED, not_encoded, ("jose", "joserfc", *LENIENT))
    yield Vector("b64-true", "header has b64: true, which changes nothing", MALFORMED, signed(body, header(b64=True)))
    yield Vector("embedded-jku", "header has jku, an address", MALFORMED, signed(body, header(jku="https://example.org/jwks.json")))
    yield Vector("wrong-typ", "typ is the keyset's", MALFORMED, signed(body, header(typ="sam-keyset+jws")))
    yield Vector("no-typ", "no typ", MALFORMED, signed(body, header(typ=None)))
    yield Vector("no-kid", "no kid", MALFORMED, signed(body, {"alg": "ES256", "typ": jws.MANIFEST_TYPE}))
    yield Vector("kid-is-a-number", "kid 1", MALFORMED, signed(body, header(kid=1)), ("jose", "openssl"))


def _header_bytes() -> Iterator[Vector]:
    """Headers as texts: the profile of JSON holds for them too."""
    body, head = b64(rfc8785.dumps(payload())), compact(header())
    spaced = f' {{ "typ" : "sam-manifest+jws",\n\t"kid":"{kid(SIGNER)}" , "alg":"ES256" }}\r\n'.encode()
    for name, what, text, accepted_by in (
        ("header-alg-twice", "alg twice, the second name written with an escape", head[:-1] + b',"\\u0061lg":"ES256"}', EVERYBODY),
        ("header-byte-order-mark", "a byte order mark before the header's JSON", b"\xef\xbb\xbf" + head, ("joserfc", *LENIENT)),
        ("header-not-utf-8", "the byte FF in the header's kid", head.replace(b'"kid":"', b'"kid":"\xff'), OPENSSL),
        ("header-text-after-value", "x after the header's JSON", head + b"x", OPENSSL),
        ("header-is-a-list", "the header is a list of the three values", b'["ES256","x","sam-manifest+jws"]', OPENSSL),
    ):
        yield Vector(name, what, MALFORMED, signed_parts(b64(text), body), accepted_by)
    yield Vector("header-with-space", "other order, white space in the header's JSON", "valid", signed_parts(b64(spaced), body))
    surrogate = compact(header()).replace(kid(SIGNER).encode(), b"\\ud800")
    yield Vector(
        "kid-is-a-lone-surrogate", "a string all the same; no key has it", "unknown-key", signed_parts(b64(surrogate), body), OPENSSL
    )


def _keys() -> Iterator[Vector]:
    body = rfc8785.dumps(payload())
    yield Vector("unknown-kid", "signed by a key outside the keyset, under its own kid", "unknown-key", signed(body, key=STRANGER), NOBODY)
    yield Vector("status-keys-signature", "signed by the status key, under its own kid", "unknown-key", signed(body, key=STATUS), NOBODY)
    yield Vector("revoked-key", "signed by the revoked manifest key", "revoked-key", signed(body, key=REVOKED), NOBODY)
    forged = signed(body, header(SIGNER), STRANGER)
    yield Vector("stranger-under-our-kid", "signed by a stranger under a good kid", "signature-wrong", forged, NOBODY)
    outside = "issued-outside-key-validity"
    yield Vector("issued-after-its-keys-end", "iat one second after its key's exp", outside, signed(body, key=OLD), NOBODY)
    yield Vector("issued-before-its-keys-start", "iat one second before its key's nbf", outside, good(iat=KEYS_FROM - 1))
    yield Vector("issued-at-its-keys-start", "iat is its key's nbf", "valid", good(iat=KEYS_FROM))
    at_end = signed(rfc8785.dumps(payload(iat=ISSUED - 1)), key=OLD)
    yield Vector("issued-at-its-keys-end", "iat is its key's exp", "valid", at_end, NOBODY)


def _json() -> Iterator[Vector]:
    text = rfc8785.dumps(payload())
    for name, what, data in (
        ("duplicate-keys", '"seq":3,"seq":4', replaced('"seq":3', '"seq":3,"seq":4')),
        ("duplicate-keys-escaped", "seq twice, the second name written with an escape", replaced('"seq":3', '"seq":3,"\\u0073eq":4')),
        ("duplicate-keys-nested", "acc_m twice", replaced('"acc_m":12', '"acc_m":12,"acc_m":12')),
        ("float", '"seq":3.0', replaced('"seq":3', '"seq":3.0')),
        ("exponent", '"seq":3e0', replaced('"seq":3', '"seq":3e0')),
        ("leading-zero", '"seq":03', replaced('"seq":3', '"seq":03')),
        ("not-a-number", '"seq":NaN', replaced('"seq":3', '"seq":NaN')),
        ("invalid-utf-8", "the byte FF in org.name", signed(text.replace(b"Dinas", b"Dinas\xff"))),
        ("utf-8-of-a-surrogate", "the bytes ED A0 80 in org.name", replaced("Dinas", "Dinas\ud800")),
        ("overlong-utf-8", "A as C1 81 in org.name", signed(text.replace(b"Dinas", b"Dinas\xc1\x81"))),
        ("lone-surrogate", 'the escape "\\ud800" in org.name', replaced("Dinas", "Dinas\\ud800")),
        ("lone-surrogate-in-name", 'a member "\\ud800"', replaced('"epoch":1', '"epoch":1,"\\ud800":1')),
        ("byte-order-mark", "EF BB BF before the payload", signed(b"\xef\xbb\xbf" + text)),
        ("text-after-value", "x after the payload", signed(text + b"x")),
        ("raw-control-character", "a TAB in org.name, not escaped", replaced("Dinas", "Dinas\t")),
        ("deep", "a member extra, 1000 lists deep", replaced('"epoch":1', '"epoch":1,"extra":' + "[" * 1000 + "]" * 1000)),
        ("top-level-list", "the payload in a list", signed(b"[" + text + b"]")),
        ("not-json", "the payload is seq=3", signed(b"seq=3")),
    ):
        yield Vector(name, what, PAYLOAD, data)


def _json_that_is_allowed() -> Iterator[Vector]:
    """What a verifier must not refuse."""
    turned = dict(reversed(payload().items()))
    spaced = compact(turned).replace(b'"seq":3', b'\n\t"\\u0073eq" : 3\r\n')
    yield Vector("not-canonical", "other order, white space, an escape in a name: RFC 8785 is not required", "valid", signed(spaced))
    yield Vector("minus-zero", '"acc_m":-0 is the integer 0', "valid", replaced('"acc_m":12', '"acc_m":-0'))
    yield Vector("escaped-control-character", 'org.name ends with "\\u0000"', "valid", replaced("Dinas", "Dinas\\u0000"))


def _members() -> Iterator[Vector]:
    missing = {name: value for name, value in payload().items() if name != "grace"}
    for name, what, data in (
        ("unknown-field", "a member extra", good(extra=1)),
        ("unknown-field-nested", "a member extra in card", _good_in("card", extra=1)),
        ("missing-field", "no grace", signed(rfc8785.dumps(missing))),
        ("missing-prev", "no prev: null must be written", signed(rfc8785.dumps({k: v for k, v in payload().items() if k != "prev"}))),
        ("unknown-version", "ver 2", good(ver=2)),
        ("version-is-true", "ver true", good(ver=True)),
        ("unknown-profile", "cfg.profile pcid-conf/2", _good_in("cfg", profile="pcid-conf/2")),
        ("text-for-number", '"seq":"3"', good(seq="3")),
        ("null-for-number", '"seq":null', good(seq=None)),
        ("list-for-object", "unit is an empty list", good(unit=[])),
    ):
        yield Vector(name, what, PAYLOAD, data)


def _good_in(member: str, **changes: Any) -> bytes:
    return good(**{member: payload()[member] | changes})


def _bounds() -> Iterator[Vector]:
    for name, what, data in (
        ("seq-0", "seq begins at 1", good(seq=0)),
        ("seq-beyond-2-53", "seq is 2^53", replaced('"seq":3', f'"seq":{BEYOND}')),
        ("time-beyond-2-53", "loc.at is 2^53 + 1, which a double rounds", replaced(f'"at":{ISSUED}', f'"at":{BEYOND + 1}')),
        ("epoch-negative", "epoch -1", good(epoch=-1)),
        ("grace-367-days", "one second more than 366 days", good(grace=366 * 86400 + 1)),
        ("latitude-beyond-the-pole", "loc.lat_e7 900000001", _good_in("loc", lat_e7=900_000_001)),
        ("longitude-beyond-180", "loc.lon_e7 -1800000001", _good_in("loc", lon_e7=-1_800_000_001)),
        ("accuracy-too-large", "loc.acc_m 1000001", _good_in("loc", acc_m=1_000_001)),
        ("keyver-256", "card.keyver 256", _good_in("card", keyver=256)),
        ("nbf-is-exp", "nbf must lie before exp", good(nbf=ENDS)),
    ):
        yield Vector(name, what, PAYLOAD, data)


def _bounds_that_are_allowed() -> Iterator[Vector]:
    at_the_limit = good(
        seq=BEYOND - 1,
        exp=BEYOND - 1,
        grace=366 * 86400,
        fn="R",
        epoch=0,
        loc={"lat_e7": -900_000_000, "lon_e7": 1_800_000_000, "acc_m": 1_000_000, "src": "typed", "at": BEYOND - 1, "code": "51.06"},
        card=payload()["card"] | {"keyver": 255},
        org=payload()["org"] | {"name": "\U0001f4c7" * 200},
        unit=payload()["unit"] | {"hw": "H" * 200, "model": "é" * 200},
        iss="https:" + "i" * 294,
    )
    yield Vector("at-every-bound", "many members at their bounds, 200 code points beyond the BMP", "valid", at_the_limit, status=None)


def _texts() -> Iterator[Vector]:
    jti = payload()["jti"]
    for name, what, data in (
        ("jti-version-4", "jti is a UUID of version 4", good(jti=jti.replace("-7000-", "-4000-"))),
        ("jti-in-upper-case", "UUIDs are lower case", good(jti=jti.upper())),
        ("uuid-version-9", "org.id is a UUID of version 9", _good_in("org", id=jti.replace("-7000-", "-9000-"))),
        ("uuid-wrong-variant", "card.batch with the variant bits 110", _good_in("card", batch=jti.replace("-8000-", "-c000-"))),
        ("uid-in-lower-case", "sub in lower case", good(sub="30154b0100001234")),
        ("function-w", "fn W", good(fn="W")),
        ("unknown-kind", "org.kind province", _good_in("org", kind="province")),
        ("name-of-201", "org.name of 201 code points", _good_in("org", name="n" * 201)),
        ("name-empty", "org.name is empty", _good_in("org", name="")),
        ("issuer-without-scheme", "iss without a colon", good(iss="sifilma.example.go.id")),
        ("issuer-of-301", "iss of 301 characters", good(iss="https:" + "i" * 295)),
        ("code-with-line-end", "loc.code ends with LF: patterns match the whole string", _good_in("loc", code="51.06.02.1004\n")),
        ("code-in-other-digits", "loc.code in Arabic-Indic digits", _good_in("loc", code="٥١.٠٦")),
        ("prev-with-stray-bits", "prev ends with unused bits that are not zero", good(prev="A" * 42 + "B")),
        ("prev-of-42", "prev of 42 characters", good(prev="A" * 42)),
    ):
        yield Vector(name, what, PAYLOAD, data)


def _readers_checks() -> Iterator[Vector]:
    idx = payload()["status"]
    expired = good(exp=AT - GRACE - 10, iat=AT - GRACE - 500, nbf=AT - GRACE - 500)
    yield Vector("epoch-jump", "epoch 7, the keyset has 1", "epoch-not-of-keyset", good(epoch=7))
    yield Vector("wrong-uid", "sub is another card", "wrong-card", good(sub="30154B0100009999"))
    yield Vector("wrong-uid-epoch-jump", "sub is another card, and epoch 7", "wrong-card", good(sub="30154B0100009999", epoch=7))
    yield Vector("keyset-version-below-floor", "version 2 of the keyset was seen", "keyset-not-trusted", ask={"min_keyset_version": 2})
    yield Vector("keyset-version-at-floor", "version 1 of the keyset was seen", "valid", ask={"min_keyset_version": 1})
    yield Vector("no-card-in-hand", "as good, and the reader has no UID", "valid", ask={"uid": None})
    yield Vector("future", "nbf a day after at", "not-yet-valid", good(nbf=AT + 86400))
    yield Vector("expired", "exp + grace 10 s before at", "expired", expired)
    yield Vector("grace", "exp 10 s before at, grace 30 days", "valid", good(exp=AT - 10), warning=True)
    yield Vector("outside-the-status-list", "status.idx 99 of 16", "status-list-unusable", good(status=idx | {"idx": 99}))
    yield Vector("revoked", "status.idx 6", "revoked", good(status=idx | {"idx": 6}))
    yield Vector("suspended", "status.idx 7", "suspended", good(status=idx | {"idx": 7}))


def _rollback() -> Iterator[Vector]:
    older = "older-than-seen"
    yield Vector("rollback", "seq 2; epoch 1, seq 3 was seen", older, good(seq=2), ask={"min_epoch": 1, "min_seq": 3})
    yield Vector("rollback-equal", "the pair that was seen last", "valid", ask={"min_epoch": 1, "min_seq": 3})
    yield Vector("rollback-no-epoch", "no epoch was kept: seq alone decides", older, ask={"min_seq": 4})
    yield Vector("rollback-higher-epoch", "a higher epoch outweighs any seq", "valid", ask={"min_epoch": 0, "min_seq": 99})
    yield Vector("rollback-lower-epoch", "a lower epoch is older whatever seq", older, ask={"min_epoch": 2, "min_seq": 0})


def _times() -> Iterator[Vector]:
    """Both ends of each period, without a status list: it has a period of its own."""
    for name, what, ours, at, warning in (
        ("at-nbf", "the first second", "valid", ISSUED, False),
        ("one-second-before-nbf", "a clock one second behind the issuer's", "valid", ISSUED - 1, False),
        ("300-seconds-before-nbf", "the last second of the tolerance", "valid", ISSUED - 300, False),
        ("301-seconds-before-nbf", "one second more than the tolerance", "not-yet-valid", ISSUED - 301, False),
        ("at-exp", "the last second without a warning", "valid", ENDS, False),
        ("after-exp", "the first second of grace", "valid", ENDS + 1, True),
        ("at-the-end-of-grace", "the last second of grace", "valid", ENDS + GRACE, True),
        ("after-grace", "one second after grace", "expired", ENDS + GRACE + 1, False),
    ):
        yield Vector(name, what, ours, status=None, warning=warning, ask={"at": at})
