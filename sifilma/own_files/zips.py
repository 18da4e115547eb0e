"""A ZIP that is written over several transactions, by several processes, and of which a part is in memory at a time.

Each part holds whole files, written by `zipfile` as if the ZIP ended behind them: what it adds then, its index, is kept apart. The indexes
of all parts, one after the other, and one end are the end of the whole (PKWARE APPNOTE 6.3.10, sections 4.3.6 and 4.3.14 to 4.3.16).
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from typing import IO, cast

OWNER_READS = 0o600 << 16
MOST_BYTES = zipfile.ZIP64_LIMIT - 2**26
"""Bytes up to which another part may begin: behind them the entries of an index would have another form."""
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_FIND64 = struct.Struct("<4sLQL")
_VERSION = 45
_COUNT = struct.Struct(">L")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF


class _Growing:
    """What `zipfile` writes into: it can say where it is, and cannot go back."""

    def __init__(self, begins_at: int) -> None:
        self._begins_at, self._made, self._taken = begins_at, bytearray(), 0

    def write(self, data: bytes) -> int:
        self._made += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def tell(self) -> int:
        return self._begins_at + self._taken + len(self._made)

    def taken(self) -> bytes:
        """Return what was written since the last call. It is not kept."""
        made = bytes(self._made)
        self._taken += len(made)
        self._made.clear()
        return made


class ZipPart:
    """Files of a ZIP that lie behind its first `begins_at` bytes, dated `at` in its own time zone."""

    def __init__(self, begins_at: int, at: datetime) -> None:
        self._out, self._at = _Growing(begins_at), at.timetuple()[:6]
        self._end = begins_at
        self._zip = zipfile.ZipFile(cast(IO[bytes], self._out), "w", zipfile.ZIP_DEFLATED)  # it has all of IO that is used

    def add(self, name: str, data: bytes) -> str:
        """Add a file; return its SHA-256 in hexadecimal digits."""
        self._zip.writestr(self._told(name), data)
        return hashlib.sha256(data).hexdigest()

    @contextmanager
    def adding(self, name: str) -> Iterator[IO[bytes]]:
        """Give a file that is written piece by piece (`write`)."""
        with self._zip.open(self._told(name), "w") as file:
            yield file

    @property
    def end(self) -> int:
        """Return the place behind the files of an ended part, at which the index begins if it is the last."""
        return self._end

    def taken(self) -> bytes:
        """Return the bytes that were written since the last call."""
        return self._out.taken()

    def names(self) -> bytes:
        """End the part. Return the number of its files (4 bytes) and its index. What was written before must have been taken."""
        assert not self._out.taken()  # noqa: S101  # else files would be lost in the index
        count = len(self._zip.infolist())
        self._end = self._out.tell()
        self._zip.close()
        return _COUNT.pack(count) + self._out.taken()[: -_END.size]

    def _told(self, name: str) -> zipfile.ZipInfo:
        told = zipfile.ZipInfo(name, self._at)
        told.compress_type, told.external_attr = zipfile.ZIP_DEFLATED, OWNER_READS
        return told


def closed(last: ZipPart, before: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the end of a ZIP: what `names` gave of the parts before and gives of the last one, and how many files that are."""
    count = size = 0
    for part in chain(before, (last.names(),)):
        count += _COUNT.unpack_from(part)[0]
        size += len(part) - _COUNT.size
        yield part[_COUNT.size :]
    yield _end_of(count, size, last.end)


def _end_of(count: int, size: int, begins_at: int) -> bytes:
    end = _END.pack(b"PK\5\6", 0, 0, min(count, _FULL16), min(count, _FULL16), min(size, _FULL32), min(begins_at, _FULL32), 0)
    if count < _FULL16:
        return end
    long = _END64.pack(b"PK\6\6", _END64.size - 12, _VERSION, _VERSION, 0, 0, count, count, size, begins_at)
    return long + _FIND64.pack(b"PK\6\7", 0, begins_at + size, 1) + end
