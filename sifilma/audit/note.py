"""C2SP signed notes and tlog-checkpoints, signed with ECDSA P-256. Imports the standard library and cryptography only.

c2sp.org/signed-note: a text, an empty line, then one line per signature, `— name base64(key id ‖ signature)`. ECDSA is signature type
0x02: the key id is the first four bytes of the SHA-256 of the key's SubjectPublicKeyInfo, and the signature is ASN.1 DER over the SHA-256
of the text. c2sp.org/tlog-checkpoint: the text has a line each for origin, size and root.
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
"""Signs a 32-byte SHA-256 digest and returns 64 bytes r ‖ s, as an HSM does."""
Keys = Iterable[ec.EllipticCurvePublicKey]


class NoteRefused(ValueError):
    """This is no checkpoint, or no known key signed it. The text says why."""


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint: the log named `origin` had `size` entries and this root hash."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the key's SubjectPublicKeyInfo in DER."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_id(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the four bytes that identify the signing key."""
    return hashlib.sha256(spki(key)).digest()[:4]


def sign_checkpoint(checkpoint: Checkpoint, key: ec.EllipticCurvePublicKey, sign: Sign) -> str:
    """Return the signed note. The key's name is the origin."""
    text = checkpoint.text()
    raw = sign(hashlib.sha256(text.encode()).digest())
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    return f"{text}\n{signature_line(checkpoint.origin, key_id(key) + der)}"


def signature_line(name: str, value: bytes) -> str:
    """Return a signature line with its newline. `value`: the key id and the signature."""
    return f"— {name} {base64.b64encode(value).decode()}\n"


def text_of(note: str) -> str:
    """Return the text of a note, which is what was signed. Raise NoteRefused if it is no signed note."""
    return _parts(note)[0]


def signatures_in(note: str) -> list[tuple[str, bytes, bytes]]:
    """Return name, key id and signature of each signature line. Raise NoteRefused if it is no signed note."""
    return _parts(note)[1]


def read_checkpoint(note: str, keys: Keys) -> Checkpoint:
    """Return the content of a note if one of the keys signed it under the name of its origin. Signatures by other keys are ignored.

    Raise NoteRefused if no known key signed it, or if a signature that names a known key is wrong.
    """
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
    """Return the content of a note without checking signatures, for notes that this installation signed and stored itself.

    Raise NoteRefused if it is no checkpoint.
    """
    found = _TEXT.fullmatch(_parts(note)[0])
    if found is None:
        raise NoteRefused("the text is not that of a checkpoint")
    return Checkpoint(found["origin"], int(found["size"]), base64.b64decode(found["root"]))


def _parts(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Return the text, and name, key id and signature of each signature line. Raise NoteRefused if it is no signed note."""
    text, empty_line, lines = note.rpartition("\n\n")
    # C2SP signed-note: no control characters except the newline.
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
