"""An operator's file of breached passwords: SHA-1 hashes ordered by hash, as Have I Been Pwned gives them, tens of GB.

A line is 40 hexadecimal digits, then mostly a colon and how often the password was seen. Nothing of the file is kept in memory: a hash is
looked for by halving the file, some 25 reads of a few hundred bytes each.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from math import sqrt

LINE = re.compile(rb"([0-9A-F]{40})(?::[0-9]{1,15})?\r?", re.IGNORECASE)
NTLM = re.compile(rb"[0-9A-F]{32}(?::[0-9]{1,15})?\r?", re.IGNORECASE)
LONGEST = 64
"""Bytes that a line has at most. A longer one is no line of such a file."""
BLOCK = 4096
"""Where the halves are smaller than this, the rest is read at once."""
WHOLE = 8 * 2**20
"""A file of at most so many bytes is read from end to end at the start, a larger one is probed."""
PROBES = 256
EVEN = 20
"""The exponent by which even spreading is judged, see `_require_even`."""
GAP = 40
"""How many hashes may be missing at either end by chance: in a sound file so many are with a probability of e^-40."""


NO_HASHES = "has lines that are no SHA-1 hashes, or is cut off"
Point = tuple[float, bytes]
"""The share of the file that lies before a line, 0 to 1, and its hash."""


class Unreadable(Exception):
    """The file cannot be searched: it is away, cut off, not in order, or something else. The text is the end of the sentence "It …"."""


def is_breached(path: str, password: str) -> bool:
    """Return whether the file at `path` holds the hash of a password. Raise Unreadable if it cannot be searched.

    The file is opened anew for each look-up, so that a new one can be moved into its place while the service runs.
    """
    wanted = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
    with _opened(path) as (descriptor, size):
        low, high = 0, size  # the line, if there is one, begins in [low, high); one begins at low
        while high - low > BLOCK:
            middle = (low + high) // 2
            start, found = _line_from(descriptor, middle)
            if start < high and found <= wanted:
                low = start
            else:
                high = middle
        return wanted in _in_order(os.pread(descriptor, high - low + LONGEST, low), size - low)


def fault(path: str) -> str:
    """Return why a file cannot be used, as the end of the sentence "It …", or an empty text.

    A file of more than WHOLE bytes is probed: hashes are spread evenly, so each probe says how much of the file lies before it.
    """
    try:
        with _opened(path) as (descriptor, size):
            points = _all(descriptor, size) if size <= WHOLE else _probed(descriptor, size)
            _require_even(points, size // LONGEST)
    except Unreadable as why:
        return str(why)
    return ""


@contextmanager
def _opened(path: str) -> Iterator[tuple[int, int]]:
    """Give the descriptor of a file and its size. Raise Unreadable if it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as why:
        raise Unreadable(f"cannot be read ({type(why).__name__})") from None
    try:
        size = os.fstat(descriptor).st_size
        if not size:
            raise Unreadable("is empty")
        yield descriptor, size
    except OSError as why:
        raise Unreadable(f"cannot be read ({type(why).__name__})") from None
    finally:
        os.close(descriptor)


def _all(descriptor: int, size: int) -> list[Point]:
    hashes = _in_order(os.pread(descriptor, size, 0), size)
    if not hashes:
        raise Unreadable("has no line")
    return [(number / len(hashes), found) for number, found in enumerate(hashes)]


def _probed(descriptor: int, size: int) -> list[Point]:
    """Return some lines of a large file, the first and the last among them."""
    probes = [_line_from(descriptor, size * number // PROBES) for number in range(PROBES)]
    tail = os.pread(descriptor, 2 * LONGEST, size - 2 * LONGEST).partition(b"\n")[2]
    probes.extend((size, found) for found in _in_order(tail, len(tail))[-1:])
    _require_order([found for _, found in probes])
    return [(start / size, found) for start, found in probes]


def _line_from(descriptor: int, offset: int) -> tuple[int, bytes]:
    """Return where the first line begins that begins at `offset` or later, and its hash; the end of the file if there is none."""
    # One byte before: where that ends a line, a line begins at `offset` itself.
    before = max(offset - 1, 0)
    read = os.pread(descriptor, 2 * LONGEST, before)
    skipped = 0 if offset == 0 else read.find(b"\n") + 1
    if offset and not skipped and len(read) == 2 * LONGEST:
        raise Unreadable(NO_HASHES)
    if (offset and not skipped) or skipped == len(read):
        return before + len(read), b""
    return before + skipped, _hash(read[skipped:].partition(b"\n")[0])


def _hash(line: bytes) -> bytes:
    """Return the hash of a line in capital letters. Raise Unreadable for anything else than a line of such a file."""
    if found := LINE.fullmatch(line):
        return found[1].upper()
    if NTLM.fullmatch(line):
        raise Unreadable("holds NTLM hashes or is cut off: take the list of SHA-1 hashes")
    raise Unreadable(NO_HASHES)


def _in_order(read: bytes, left: int) -> list[bytes]:
    """Return the hashes of a piece that begins with a line; what follows its last line end counts if the file ends there."""
    lines = read.split(b"\n")
    rest = lines.pop()
    if rest and len(read) >= left:
        lines.append(rest)
    hashes = [_hash(line) for line in lines]
    _require_order(hashes)
    return hashes


def _require_order(hashes: list[bytes]) -> None:
    if any(later < found for found, later in pairwise(hashes)):
        raise Unreadable("is not ordered by hash: take the list that is")


def _require_even(points: list[Point], count: int) -> None:
    """Raise Unreadable where a part of the hashes is missing: at the start, between, or at the end. `count`: so many there are at least.

    A hash is a number drawn evenly. The share of N that lies below one differs from its place in the whole range by more than
    sqrt(20 / N) in less than one of 10^17 sound files (Dvoretzky, Kiefer, Wolfowitz). A few hashes of an operator's own always pass.
    """
    apart = sqrt(EVEN / max(count, 1))
    for share, found in points:
        if abs(_place(found) - share) > apart:
            raise Unreadable(f"is not whole: hashes are missing near {found[:5].decode()}")
    if max(_place(points[0][1]), 1 - _place(points[-1][1])) > GAP / max(count, 1):
        raise Unreadable("is not whole: it does not begin with the first hashes or does not end with the last, or it is cut off")


def _place(found: bytes) -> float:
    return int(found, 16) / 16**40
