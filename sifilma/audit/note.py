"""C2SP signed notes and tlog-checkpoints, signed by ECDSA P-256. Standard library and cryptography only.

c2sp.org/signed-note: a text, an empty line, then one line per signature: `— name base64(key id ‖ signature)`. ECDSA is signature type
0x02: the key id is the first four bytes of the SHA-256 of the key's SubjectPublicKeyInfo, the signature is ASN.1 DER over the SHA-256
of the text. c2sp.org/tlog-checkpoint: the text is origin, size and root, a line each.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

MAX_BYTES = 16 * 1024
_TEXT = re.compile(r"(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,18})\n(?P<root>[A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*")
_SIGNATURE = re.compile(r"— (?P<name>[^\s+]+) (?P<value>[A-Za-z0-9+/]+={0,2})")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")

Sign = Callable[[bytes], bytes]
"""Signs a SHA-256 digest: 64 bytes r ‖ s, as an HSM gives them."""


class NoteRefused(ValueError):
    """This is no checkpoint, or none signed by a known key; the text says why."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint says: this log had `size` entries, and this was its root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    """The key's SubjectPublicKeyInfo (DER)."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(key: ec.EllipticCurvePublicKey) -> bytes:
    """The four bytes that say which key signed."""
    return hashlib.sha256(spki(key)).digest()[:4]


def sign_checkpoint(checkpoint: Checkpoint, key: ec.EllipticCurvePublicKey, sign: Sign) -> str:
    """The signed note; the key's name is the origin."""
    text = checkpoint.text()
    raw = sign(hashlib.sha256(text.encode()).digest())
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    return f"{text}\n— {checkpoint.origin} {base64.b64encode(key_id(key) + der).decode()}\n"


def read_checkpoint(note: str, keys: Iterable[ec.EllipticCurvePublicKey]) -> Checkpoint:
    """What a note says, if one of the keys signed it under the name of its origin. Signatures by others are ignored."""
    text, signatures = _parts(note)
    checkpoint = claim(note)
    known = {key_id(key): key for key in keys}
    ours = [(known[id_], der) for name, id_, der in signatures if name == checkpoint.origin and id_ in known]
    if not ours:
        raise NoteRefused("no known key signed it")
    for key, der in ours:
        _check(key, der, text.encode())
    return checkpoint


def claim(note: str) -> Checkpoint:
    """What a note says, whoever signed it. For what one has signed and kept oneself."""
    found = _TEXT.fullmatch(_parts(note)[0])
    if found is None:
        raise NoteRefused("the text is not that of a checkpoint")
    return Checkpoint(found["origin"], int(found["size"]), base64.b64decode(found["root"]))


def _parts(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """The text, and name, key id and signature of each signature line."""
    text, empty_line, lines = note.rpartition("\n\n")
    if not empty_line or not lines.endswith("\n") or _CONTROL.search(note) or len(note) > MAX_BYTES:
        raise NoteRefused("this is not a signed note")
    return text + "\n", [_signature(line) for line in lines[:-1].split("\n")]


def _signature(line: str) -> tuple[str, bytes, bytes]:
    found = _SIGNATURE.fullmatch(line)
    try:
        value = base64.b64decode(found["value"], validate=True) if found else b""
    except binascii.Error:
        value = b""
    if found is None or len(value) < 5:
        raise NoteRefused("a signature line is malformed")
    return found["name"], value[:4], value[4:]


def _check(key: ec.EllipticCurvePublicKey, der: bytes, text: bytes) -> None:
    try:
        key.verify(der, text, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise NoteRefused("the signature is not that of the key it names") from None
