"""The status list of the vectors, and the lists that are wrong in one respect.

The zlib streams of the latter are written here: the bytes then do not depend on the choices of a compressor.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec

from manifests import jws
from manifests.status import StatusList, StatusValue, sign_status
from tests.vectors.parts import (
    AT,
    BEYOND,
    SIGNER,
    STATUS,
    STRANGER,
    Vector,
    b64,
    by_digest,
    good,
    header,
    kid,
    payload,
    signed,
    spoiled,
)

UNUSABLE = "status-list-unusable"
LIMIT = 1 << 20  # bytes that a list may inflate to


def _standard() -> StatusList:
    entries = [(6, StatusValue.REVOKED), (7, StatusValue.SUSPENDED)]
    return StatusList.build(iss=payload()["iss"], number=1, seq=1, iat=AT - 10, exp=AT + 86400, size=16, entries=entries)


def _body(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(rfc8785.dumps(_standard().model_dump(mode="json")))
    return made | changes


def signed_list(body: dict[str, Any] | bytes, key: ec.EllipticCurvePrivateKey = STATUS, head: dict[str, Any] | None = None) -> bytes:
    """Return a signed list without a line end; bytes are signed as they are."""
    data = body if isinstance(body, bytes) else rfc8785.dumps(body)
    return signed(data, head or header(key, typ=jws.STATUS_TYPE), key)


def body_bytes() -> bytes:
    """Return the payload of the vectors' list."""
    return rfc8785.dumps(_body())


def of_stream(stream: bytes) -> bytes:
    """Return the signed list whose `lst` is this stream."""
    return signed_list(_body(lst=b64(stream).decode()))


def deflated(data: bytes) -> bytes:
    """Return one stored block (RFC 1951) of at most 65535 bytes."""
    return b"\x01" + len(data).to_bytes(2, "little") + (0xFFFF - len(data)).to_bytes(2, "little") + data


def stream(data: bytes) -> bytes:
    """Return a zlib stream (RFC 1950) of one stored block."""
    return b"\x78\x01" + deflated(data) + zlib.adler32(data).to_bytes(4, "big")


def zeros(count: int) -> bytes:
    """Return a zlib stream of so many zero bytes: one literal, then copies of 258 bytes, then literals, in the fixed Huffman code."""
    literal, copy_258, end = "00110000", "11000101" + "00000", "0000000"
    copies, rest = divmod(count - 1, 258)
    bits = "1" + "10" + literal + copy_258 * copies + literal * rest + end
    packed = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    return b"\x78\x01" + packed + zlib.adler32(bytes(count)).to_bytes(4, "big")


def _with_dictionary(data: bytes) -> bytes:
    """Return a stream whose header asks for a preset dictionary, which the stored block then does not use."""
    return b"\x78\x20" + zlib.adler32(b"dictionary").to_bytes(4, "big") + deflated(data) + zlib.adler32(data).to_bytes(4, "big")


def _gzip(data: bytes) -> bytes:
    trailer = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + deflated(data) + trailer


def files() -> dict[str, bytes]:
    """Return every status list's file by name."""
    made = {f"{name}.sig": data for name, _, _, data, _ in _cases()}
    return {"status.sig": sign_status(_standard(), kid(STATUS), by_digest(STATUS)).encode()} | made


def vectors() -> Iterator[Vector]:
    """Return the vectors: the manifest is good, the status list has one fault (or a harmless surprise)."""
    for name, what, ours, _, ask in _cases():
        yield Vector(name, what, ours, status=f"{name}.sig", ask=ask)
    where = payload()["status"]
    revoked = good(status=where | {"idx": 6})
    yield Vector("no-status-list", "status.idx 6, and the reader has no list", "valid", revoked, status=None)
    yield Vector("first-index-outside", "status.idx 16 of 16", UNUSABLE, good(status=where | {"idx": 16}))
    yield Vector("last-index", "status.idx 15 of 16", "valid", good(status=where | {"idx": 15}))
    yield Vector("status-index-2-53", "status.idx 2^53 - 1", UNUSABLE, good(status=where | {"idx": BEYOND - 1}))
    other_list, other_host = "https://sifilma.example.go.id/status/11.jws", "http://mirror.example.org:8080/x/status/1.jws"
    yield Vector("status-of-list-11", "status.uri of list 11", UNUSABLE, good(status=where | {"uri": other_list}))
    yield Vector("status-of-another-host", "scheme and host are not compared", "valid", good(status=where | {"uri": other_host}))
    yield Vector("status-seq-below-floor", "seq 2 of the list was seen", UNUSABLE, ask={"min_status_seq": 2})
    yield Vector("status-seq-at-floor", "seq 1 of the list was seen", "valid", ask={"min_status_seq": 1})
    yield Vector(
        "status-of-expired", "the manifest's own checks come first", "expired", status="status-other-issuer.sig", ask={"at": AT + 10**7}
    )


def _cases() -> Iterator[tuple[str, str, str, bytes, dict[str, int | str | None]]]:
    """Give name, fault, answer, file and further inputs of each list."""
    for name, what, data in (*_refused_lines(), *_refused_bodies(), *_refused_streams()):
        yield name, what, UNUSABLE, data, {}
    line = signed_list(_body())
    yield "status-without-line-end", "no LF at the end", "valid", line, {}
    yield "status-with-line-end", "one LF at the end", "valid", line + b"\n", {}
    yield "status-issued-now", "iat is the moment of verification", "valid", signed_list(_body(iat=AT)), {}
    yield "status-300-seconds-ahead", "iat 300 s after the moment of verification", "valid", signed_list(_body(iat=AT + 300)), {}
    yield "status-in-its-last-second", "exp is the moment of verification", "valid", signed_list(_body(exp=AT)), {}
    yield "status-reserved-elsewhere", "value 3 for other entries", "valid", of_stream(stream(b"\xff\x03")), {}
    yield "status-longest", "inflates to 1048576 bytes", "valid", of_stream(zeros(LIMIT)), {}


def _refused_lines() -> Iterator[tuple[str, str, bytes]]:
    line, forged = signed_list(_body()), header(STATUS, typ=jws.STATUS_TYPE)
    yield "status-empty-file", "no bytes", b""
    yield "status-signature", "byte 40 of the signature set to 0", spoiled(line)
    yield "status-forged", "signed by a stranger under the status key's kid", signed_list(_body(), STRANGER, forged)
    yield "status-of-a-stranger", "signed by a key outside the keyset, under its own kid", signed_list(_body(), STRANGER)
    yield "status-of-the-manifest-key", "signed by the manifest key, under its own kid", signed_list(_body(), SIGNER)
    yield "status-wrong-typ", "typ is the manifest's", signed_list(_body(), head=header(STATUS))
    yield "status-two-line-ends", "LF twice at the end", line + b"\n\n"


def _refused_bodies() -> Iterator[tuple[str, str, bytes]]:
    missing = {name: value for name, value in _body().items() if name != "exp"}
    text = body_bytes()
    for name, what, body in (
        ("status-unknown-member", "a member ttl", _body(ttl=1)),
        ("status-missing-member", "no exp", missing),
        ("status-bits-1", "bits 1", _body(bits=1)),
        ("status-list-0", "list 0", _body(list=0)),
        ("status-seq-beyond-2-53", "seq 2^53", text.replace(b'"seq":1', b'"seq":%d' % BEYOND)),
        ("status-duplicate-member", "seq twice", text.replace(b'"seq":1', b'"seq":1,"seq":1')),
        ("status-other-issuer", "iss is not the manifest's", _body(iss="https://other.example.go.id")),
        ("status-other-list", "list 2", _body(list=2)),
        ("status-301-seconds-ahead", "iat 301 s after the moment of verification", _body(iat=AT + 301)),
        ("status-from-the-future", "iat a day after the moment of verification", _body(iat=AT + 86400, exp=AT + 2 * 86400)),
        ("status-past-its-end", "exp one second before the moment of verification", _body(exp=AT - 1)),
        ("status-padding", "lst ends with =", _body(lst=_body()["lst"] + "=")),
        ("status-lst-empty", "lst is empty", _body(lst="")),
    ):
        yield name, what, signed_list(body)


def _refused_streams() -> Iterator[tuple[str, str, bytes]]:
    whole = stream(bytes(4))
    for name, what, data in (
        ("status-bytes-after-the-stream", "one byte after the stream", whole + b"\x00"),
        ("status-two-streams", "a second stream after the first", whole + whole),
        ("status-cut", "the last byte of the stream is missing", whole[:-1]),
        ("status-wrong-checksum", "the last byte of Adler-32 is changed", whole[:-1] + bytes([whole[-1] ^ 1])),
        ("status-raw-deflate", "deflate without the zlib header", deflated(bytes(4))),
        ("status-gzip", "gzip in place of zlib", _gzip(bytes(4))),
        ("status-preset-dictionary", "the stream asks for a dictionary", _with_dictionary(bytes(4))),
        ("status-no-entries", "a stream of no bytes: no index lies in it", stream(b"")),
        ("status-too-long-inflated", "inflates to 1048577 bytes", zeros(LIMIT + 1)),
        ("status-reserved-value", "value 3 for this manifest", stream(b"\x00\x0c\x00\x00")),
    ):
        yield name, what, of_stream(data)
