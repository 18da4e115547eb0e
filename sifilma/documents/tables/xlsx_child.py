"""Read the sheet of an XLSX file that has the heading, in the child process.

A small workbook can unpack to gigabytes, name one long text in hundreds of cells, or claim a rectangle of cells that no memory holds. What
the limits here do not find, the limits of the process end.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import pairwise

from sifilma.documents.reader_refusals import DAMAGED, ENTITIES, NOT_A_TABLE, UNPACKED, NotAccepted
from sifilma.documents.tables.answer import answer_of, stream_of
from sifilma.documents.tables.headings import Candidate, Wanted, chosen, look
from sifilma.documents.tables.workbook import Workbook

MAX_UNPACKED = 64 * 1024 * 1024  # bytes, over all entries of the archive
MAX_STREAMED = 1024 * 1024 * 1024  # bytes, where the rows are handed out as they are read
MAX_ENTRIES = 200
PIECE = 1024 * 1024  # bytes unpacked at a time


def read_xlsx(data: bytes, most_rows: str, most_bytes: str, packed: str) -> bytes:
    """Return the rows as `answer_of` does, of the one visible sheet that has the heading. Raise NotAccepted for what cannot be read."""
    wanted = Wanted.of(packed)
    with _found(data, wanted, MAX_UNPACKED) as (found, hidden):
        return answer_of(found, wanted, int(most_rows), int(most_bytes), hidden)


def stream_xlsx(data: bytes, packed: str) -> Iterator[bytes]:
    """Yield the rows as `stream_of` does, of the same sheet. The sheet is read piece by piece; only its shared texts are held."""
    wanted = Wanted.of(packed)
    with _found(data, wanted, MAX_STREAMED) as (found, hidden):
        yield from stream_of(found, wanted, hidden)


@contextmanager
def _found(data: bytes, wanted: Wanted, most: int) -> Iterator[tuple[Candidate, Collection[int]]]:
    """Give the sheet that has the heading, and the numbers of its hidden rows, which grow while it is read."""
    _check_zip(data, most)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        book = Workbook(archive)
        if not book.sheets:
            raise NotAccepted(NOT_A_TABLE)
        looked = [(sheet, look(sheet.name, book.rows(sheet), wanted)) for sheet in book.sheets]
        found = chosen([one for _, one in looked], wanted)
        yield found, next(sheet.hidden for sheet, one in looked if one is found)


def _check_zip(data: bytes, most: int) -> None:
    """Refuse archives that unpack to too much before the reader unpacks them, and entries that declare entities.

    An archive may not have overlapping entries (CVE-2024-0450), too many, too large ones, or other compressions than deflate.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
            overlap = any(a.header_offset + a.compress_size > b.header_offset for a, b in pairwise(entries))
            packed = any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries)
            if overlap or packed or len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > most:
                raise NotAccepted(UNPACKED)
            for entry in entries:
                _check_entry(archive, entry)
    # RuntimeError is how zipfile reports an encrypted entry.
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as broken:
        raise NotAccepted(DAMAGED) from broken


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Unpack an entry piece by piece, up to its declared size, and refuse a document type anywhere in it (XML entities)."""
    size, tail = 0, b""
    with archive.open(entry) as handle:
        while piece := handle.read(PIECE):
            size += len(piece)
            if size > entry.file_size:
                raise NotAccepted(UNPACKED)
            if b"<!DOCTYPE" in tail + piece or b"<!ENTITY" in tail + piece:
                raise NotAccepted(ENTITIES)
            tail = piece[-16:]  # a keyword may lie across two pieces
