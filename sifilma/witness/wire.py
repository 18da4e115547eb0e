"""The words that a witness server and its clients share: media types, and the body of `add-checkpoint` (c2sp.org/tlog-witness)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

MOST_HASHES = 63
SIZE = "text/x.tlog.size"
COUNT = "text/x.sifilma.count"
STATEMENT = "application/jose"
DIGITS = 18


class NoSubmission(ValueError):
    """This is no body of `add-checkpoint`. The text says why."""


@dataclass(frozen=True)
class Submission:
    """What a log asks a witness to cosign: the size it takes for the newest cosigned one, the proof from there, and the note."""

    old: int
    proof: Sequence[bytes]
    note: str


def submission(old: int, proof: Sequence[bytes], note: str) -> str:
    """Return the body that asks for a cosignature."""
    return "\n".join([f"old {old}", *(base64.b64encode(one).decode() for one in proof), "", note])


def parse(body: bytes) -> Submission:
    """Read such a body. Raise NoSubmission."""
    try:
        head, _, note = body.decode().partition("\n\n")
    except UnicodeDecodeError:
        raise NoSubmission("the request is not UTF-8") from None
    first, *hashes = head.split("\n")
    size = decimal(first.removeprefix("old ").encode()) if first.startswith("old ") else None
    if size is None:
        raise NoSubmission("the first line is not `old` and a size")
    if len(hashes) > MOST_HASHES:
        raise NoSubmission(f"a proof has at most {MOST_HASHES} hashes")
    return Submission(size, [_hash(one) for one in hashes], note)


def decimal(body: bytes) -> int | None:
    """Return a number that stands alone, with or without a newline, or None if there is none."""
    text = body.removesuffix(b"\n")
    is_number = text.isdigit() and len(text) <= DIGITS and (text == b"0" or not text.startswith(b"0"))
    return int(text) if is_number else None


def _hash(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise NoSubmission("a line of the proof is no hash")
    return found
