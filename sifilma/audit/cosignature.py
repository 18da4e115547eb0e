"""C2SP tlog-cosignatures by Ed25519: a witness states when it saw a checkpoint that continues all it saw before.

Imports the standard library and cryptography only. A cosignature is a further signature line of the note: the key id is the first four
bytes of SHA-256(name ‖ newline ‖ 0x04 ‖ public key), the signature is an 8-byte POSIX time and 64 bytes over `cosignature/v1`, the time
and the note's text (c2sp.org/tlog-cosignature). A witness is named by its vkey, `name+key id+base64(0x04 ‖ public key)`
(c2sp.org/signed-note).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sifilma.audit.note import NoteRefused, signature_line, signatures_in, text_of

TYPE = b"\x04"
LATEST = 2**63 - 1
_NAME = re.compile(r"[^\s+\x00-\x1f]{1,120}")
_VKEY = re.compile(r"(?P<name>[^\s+]{1,120})\+(?P<id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/]+={0,2})")


@dataclass(frozen=True)
class Cosigner:
    """A witness: its name, a URL without scheme, and its Ed25519 public key of 32 bytes."""

    name: str
    key: bytes

    @property
    def key_id(self) -> bytes:
        """Return the four bytes that name this key in a signature line."""
        return hashlib.sha256(self.name.encode() + b"\n" + TYPE + self.key).digest()[:4]

    @property
    def vkey(self) -> str:
        """Return name, key id and key as one word, which others are given to trust."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(TYPE + self.key).decode()}"


@dataclass(frozen=True)
class Cosignature:
    """A valid cosignature: its line, with its newline, and when it was made, in POSIX seconds."""

    line: str
    at: int


def require_name(name: str) -> str:
    """Return the name of a witness. Raise NoteRefused unless it can stand in a signature line."""
    if not _NAME.fullmatch(name):
        raise NoteRefused("the name of a witness has 1 to 120 characters, without white space and +")
    return name


def cosigner_of(vkey: str) -> Cosigner:
    """Return the witness that a vkey names. Raise NoteRefused if it is none of an Ed25519 cosigner."""
    found = _VKEY.fullmatch(vkey)
    try:
        key = base64.b64decode(found["key"], validate=True) if found else b""
    except binascii.Error:
        key = b""
    if found is None or len(key) != 33 or key[:1] != TYPE:
        raise NoteRefused("this is no key of an Ed25519 cosigner")
    cosigner = Cosigner(found["name"], key[1:])
    if cosigner.key_id.hex() != found["id"]:
        raise NoteRefused("the key id is not that of this name and key")
    return cosigner


def cosign(note: str, cosigner: Cosigner, key: Ed25519PrivateKey, at: int) -> str:
    """Return the signature line of a witness under a note, with its newline. `at`: POSIX seconds."""
    return signature_line(cosigner.name, cosigner.key_id + at.to_bytes(8, "big") + key.sign(_message(text_of(note), at)))


def read_cosignature(note: str, cosigner: Cosigner) -> Cosignature:
    """Return the newest cosignature of this witness under a note. Lines of other keys are ignored.

    Raise NoteRefused if there is none, or if one that names this key is wrong.
    """
    text = text_of(note)
    found = [
        _checked(text, cosigner, value)
        for name, key_id, value in signatures_in(note)
        if name == cosigner.name and key_id == cosigner.key_id
    ]
    if not found:
        raise NoteRefused("the witness did not cosign it")
    return max(found, key=lambda one: one.at)


def _checked(text: str, cosigner: Cosigner, value: bytes) -> Cosignature:
    at = int.from_bytes(value[:8], "big")
    if len(value) != 72 or at > LATEST:
        raise NoteRefused("the cosignature is malformed")
    try:
        Ed25519PublicKey.from_public_bytes(cosigner.key).verify(value[8:], _message(text, at))
    except InvalidSignature:
        raise NoteRefused("the cosignature is not that of the key it names") from None
    return Cosignature(signature_line(cosigner.name, cosigner.key_id + value), at)


def _message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()
