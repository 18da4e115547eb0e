"""The keyset of the vectors, the keysets that are wrong in one respect, and the files of a change of root."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec

from manifests import jws
from manifests.keyset import Jwk, Key, Keyset, root_sha256, sign_keyset
from tests.vectors.parts import (
    AT,
    BEYOND,
    ISSUED,
    KEYS_FROM,
    KEYS_UNTIL,
    OLD,
    OTHER_ROOT,
    REVOKED,
    ROOT,
    SIGNER,
    STATUS,
    STRANGER,
    Vector,
    b64,
    by_digest,
    good,
    header,
    private,
    signed,
    spoiled,
    stray,
)

UNTRUSTED = "keyset-not-trusted"
PIN, OTHER_PIN = root_sha256(ROOT.public_key()), root_sha256(OTHER_ROOT.public_key())
Body = dict[str, Any]


@dataclass(frozen=True)
class RootChange:
    """A file that asks a reader to move its pin, and the new pin; None if the reader must keep the old one."""

    name: str
    what: str
    data: bytes
    new_pin: str | None


def keyset() -> Keyset:
    """Return the keyset of the vectors."""
    entries = (
        (SIGNER, "manifest", KEYS_UNTIL, None),
        (STATUS, "status", KEYS_UNTIL, None),
        (REVOKED, "manifest", KEYS_UNTIL, AT - 5),
        (OLD, "manifest", ISSUED - 1, None),
    )
    keys = [
        Key(jwk=Jwk.of(key.public_key()), use=use, nbf=KEYS_FROM, exp=end, revoked_at=revoked)  # type: ignore[arg-type]  # literals
        for key, use, end, revoked in entries
    ]
    return Keyset(version=1, epoch=1, root=Jwk.of(ROOT.public_key()), keys=keys)


def _body(**changes: Any) -> Body:
    made: Body = json.loads(keyset().to_bytes())
    return made | changes


def _changed(change: Callable[[Body], object]) -> Body:
    """Return the payload after `change` has altered it in place."""
    body = _body()
    change(body)
    return body


def _line(body: Body | bytes, key: ec.EllipticCurvePrivateKey = ROOT, head: Body | None = None) -> bytes:
    """Return the signed payload without a line end; bytes are signed as they are."""
    data = body if isinstance(body, bytes) else rfc8785.dumps(body)
    return signed(data, head or header(key, typ=jws.KEYSET_TYPE), key)


def _jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    return jws.jwk(key.public_key())


def _entry(jwk: dict[str, str], use: str = "audit") -> Body:
    return {"jwk": jwk, "use": use, "nbf": KEYS_FROM, "exp": KEYS_UNTIL, "revoked_at": None}


def files() -> dict[str, bytes]:
    """Return every keyset's file by name."""
    standard = {
        "keyset.sig": sign_keyset(keyset(), (ROOT.public_key(), by_digest(ROOT))).encode(),
        "keyset-of-another-root.sig": sign_keyset(keyset(), (OTHER_ROOT.public_key(), by_digest(OTHER_ROOT))).encode(),
    }
    made = {f"{name}.sig": data for name, _, _, data in _cases()}
    return standard | made | {f"{change.name}.sig": change.data for change in root_changes()}


def vectors() -> Iterator[Vector]:
    """Return the vectors: the manifest is good, the keyset has one fault (or a harmless surprise)."""
    yield Vector("another-root", "the keyset is signed by a key that is not its root", UNTRUSTED, keyset="keyset-of-another-root.sig")
    yield Vector("wrong-pin", "the pin of another root", UNTRUSTED, ask={"root_sha256": OTHER_PIN})
    for name, what, ours, _ in _cases():
        yield Vector(name, what, ours, keyset=f"{name}.sig")
    changed = "root-change.sig"
    yield Vector(
        "new-root-new-pin", "a keyset of two lines, with the new root's pin", "valid", keyset=changed, ask={"root_sha256": OTHER_PIN}
    )
    yield Vector("new-root-old-pin", "the same, with the old root's pin", UNTRUSTED, keyset=changed)
    yield Vector(
        "malformed-and-untrusted",
        "the manifest's form is checked before the keyset",
        "malformed",
        good() + b"\n",
        ("npm-jose", "openssl"),
        ask={"root_sha256": OTHER_PIN},
    )


def _cases() -> Iterator[tuple[str, str, str, bytes]]:
    """Give name, fault, answer and file of each keyset."""
    strangers = _line(_body(root=_jwk(OTHER_ROOT)), OTHER_ROOT) + b"\n"
    yield "keyset-of-a-stranger", "names the stranger's own key as root, and is signed by it", UNTRUSTED, strangers
    for name, what, line in _refused_lines():
        yield name, what, UNTRUSTED, line + b"\n"
    for name, what, body in _refused_bodies():
        yield name, what, UNTRUSTED, _line(body) + b"\n"
    yield from _surprises()


def _refused_lines() -> Iterator[tuple[str, str, bytes]]:
    line, other = _line(_body()), _line(_body(), OTHER_ROOT)
    yield "keyset-signature", "byte 40 of the signature set to 0", spoiled(line)
    yield "keyset-forged", "signed by a stranger under the root's kid", _line(_body(), STRANGER, header(ROOT, typ=jws.KEYSET_TYPE))
    yield "keyset-wrong-typ", "typ is the manifest's", _line(_body(), head=header(ROOT))
    yield "keyset-too-long", "valid but for its length, 65537 bytes", _line(rfc8785.dumps(_body()).ljust(48996))
    yield "keyset-two-line-ends", "LF twice at the end", line + b"\n"
    yield "keyset-three-lines", "a third line", b"\n".join((line, other, _line(_body(), STRANGER)))
    yield "keyset-root-twice", "the root's line twice", line + b"\n" + line
    yield "keyset-lines-differ", "the second line has version 2", line + b"\n" + _line(_body(version=2), OTHER_ROOT)
    yield "keyset-second-line-malformed", "the second line is x", line + b"\nx"
    twice = rfc8785.dumps(_body()).replace(b'"epoch":1', b'"epoch":1,"epoch":1')
    yield "keyset-duplicate-member", "epoch twice", _line(twice)


def _refused_bodies() -> Iterator[tuple[str, str, Body | bytes]]:
    text = rfc8785.dumps(_body())
    yield "keyset-unknown-member", "a key has kid", _changed(lambda body: body["keys"][0].update(kid="x"))
    yield "keyset-missing-member", "no epoch", _changed(lambda body: body.pop("epoch"))
    yield "keyset-version-0", "version 0", _body(version=0)
    yield "keyset-version-beyond-2-53", "version 2^53", text.replace(b'"version":1', b'"version":%d' % BEYOND)
    yield "keyset-no-keys", "keys is empty", _body(keys=[])
    yield "keyset-65-keys", "one key more than allowed", _body(keys=_body()["keys"] + [_entry(_jwk(private(f"{n}"))) for n in range(61)])
    yield "keyset-unknown-use", "a key's use is root", _changed(lambda body: body["keys"][3].update(use="root"))
    yield "keyset-revoked-at-text", "revoked_at is a string", _changed(lambda body: body["keys"][3].update(revoked_at="1"))
    yield "keyset-private-key", "the root has a member d", _changed(lambda body: body["root"].update(d="AA"))
    yield "keyset-other-curve", "a key's crv is P-384", _changed(lambda body: body["keys"][3]["jwk"].update(crv="P-384"))
    yield "keyset-key-twice", "the manifest key again, for another use", _body(keys=[*_body()["keys"], _entry(_jwk(SIGNER))])
    yield "keyset-root-among-keys", "the root is one of the keys", _body(keys=[*_body()["keys"], _entry(_jwk(ROOT))])
    for name, what, jwk in _bad_points():
        yield name, what, _body(keys=[*_body()["keys"], _entry(jwk)])


def _bad_points() -> Iterator[tuple[str, str, dict[str, str]]]:
    right = _jwk(private("point"))
    yield "keyset-off-curve", "y of a key is its x", right | {"y": right["x"]}
    yield "keyset-stray-bits", "x of a key ends with unused bits that are not zero", right | {"x": stray(right["x"].encode()).decode()}
    x, y = _small_point()
    over = {"x": b64((x + jws.PRIME).to_bytes(32, "big")).decode(), "y": b64(y.to_bytes(32, "big")).decode()}
    yield "keyset-x-over-the-prime", "x of a key is the prime + x of a point", right | over


def _small_point() -> tuple[int, int]:
    """Return the point of P-256 with the smallest x above 0: x + prime still has 32 bytes."""
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    x, p = 1, jws.PRIME
    while True:
        square = (x**3 - 3 * x + b) % p
        y = pow(square, (p + 1) // 4, p)
        if y * y % p == square:
            return x, y
        x += 1


def _surprises() -> Iterator[tuple[str, str, str, bytes]]:
    line = _line(_body())
    absent = _changed(lambda body: [key.pop("revoked_at") for key in body["keys"] if key["revoked_at"] is None])
    status_key_revoked = _changed(lambda body: body["keys"][1].update(revoked_at=AT))
    yield "keyset-without-line-end", "no LF at the end", "valid", line
    yield "keyset-second-line-unknown", "a second line by a key that nobody knows", "valid", line + b"\n" + _line(_body(), STRANGER) + b"\n"
    yield "keyset-second-line-first", "the same, the root's line last", "valid", _line(_body(), STRANGER) + b"\n" + line + b"\n"
    yield "keyset-revoked-at-absent", "keys without revoked_at", "valid", _line(absent) + b"\n"
    revoked_at_0 = _changed(lambda body: body["keys"][0].update(revoked_at=0))
    yield "keyset-revoked-at-0", "revoked_at 0 is a time, so the key is revoked", "revoked-key", _line(revoked_at_0) + b"\n"
    revoked_later = _changed(lambda body: body["keys"][0].update(revoked_at=KEYS_UNTIL))
    yield "keyset-revoked-later", "revoked_at after at is not compared", "revoked-key", _line(revoked_later) + b"\n"
    yield "keyset-status-key-revoked", "the status key is revoked", "status-list-unusable", _line(status_key_revoked) + b"\n"
    status_key_ended = _changed(lambda body: body["keys"][1].update(exp=AT - 11))
    yield "keyset-status-key-ended", "the list was issued after its key's exp", "status-list-unusable", _line(status_key_ended) + b"\n"
    status_key_later = _changed(lambda body: body["keys"][1].update(nbf=AT - 9))
    yield "keyset-status-key-later", "the list was issued before its key's nbf", "status-list-unusable", _line(status_key_later) + b"\n"


def root_changes() -> Iterator[RootChange]:
    """Return the files of a change from ROOT, which the reader holds in keyset.sig, to OTHER_ROOT."""
    body = _body(root=_jwk(OTHER_ROOT), version=2, epoch=2)
    new, old = _line(body, OTHER_ROOT), _line(body)

    def both(changed: Body) -> bytes:
        return _line(changed, OTHER_ROOT) + b"\n" + _line(changed) + b"\n"

    forged = header(ROOT, typ=jws.KEYSET_TYPE)
    kept = _body(version=2, epoch=2)
    yield RootChange("root-change", "signed by the new root and the old one", new + b"\n" + old + b"\n", OTHER_PIN)
    yield RootChange("root-change-turned", "the old root's line first", old + b"\n" + new + b"\n", OTHER_PIN)
    yield RootChange("root-change-one-line", "the old root's line is missing", new + b"\n", None)
    yield RootChange(
        "root-change-forged", "a stranger's signature under the old root's kid", new + b"\n" + _line(body, STRANGER, forged) + b"\n", None
    )
    yield RootChange("root-change-unproven", "the new root's signature is changed", spoiled(new) + b"\n" + old + b"\n", None)
    yield RootChange("root-change-to-itself", "root is the old root", _line(kept) + b"\n" + _line(kept, OTHER_ROOT) + b"\n", None)
    yield RootChange(
        "root-change-old-among-keys", "the old root is one of the keys", both(body | {"keys": [*body["keys"], _entry(_jwk(ROOT))]}), None
    )
    yield RootChange("root-change-same-epoch", "epoch did not rise", both(body | {"epoch": 1}), None)
    yield RootChange("root-change-same-version", "version did not rise", both(body | {"version": 1}), None)
