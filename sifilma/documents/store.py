"""Store the bytes of files in the database under their SHA-256, in parts. A stored file never changes.

A folder of this node may hold copies. It can be thrown away at any moment: it is filled again as files are read.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from sifilma.documents.file_cache import FileCache
from sifilma.documents.models import StoredFile, StoredPart
from sifilma.kernel.db import upsert
from sifilma.kernel.errors import Unavailable
from sifilma.kernel.file_store import Reader

PART = 1024 * 1024
"""Bytes of a part. A process holds a file and one part of it, at most."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class DatabaseStore:
    """Files in the tables `stored_file` and `stored_part`, with a cache beside them or without (None)."""

    def __init__(self, cache: FileCache | None = None) -> None:
        self._cache = cache

    def put(self, session: Session, data: bytes) -> str:
        """Store the bytes in the transaction of the session. The same bytes are stored once, also of two at the same time."""
        digest = hashlib.sha256(data).hexdigest()
        values = {"sha256": digest, "size": len(data), "parts": -(-len(data) // PART)}
        new = upsert(session, StoredFile).values(values).on_conflict_do_nothing(index_elements=["sha256"])
        if session.execute(new.returning(StoredFile.sha256)).first() is not None:
            for place, start in enumerate(range(0, len(data), PART)):
                part = {"sha256": digest, "place": place, "data": data[start : start + PART]}
                session.execute(upsert(session, StoredPart).values(part))
        return digest

    def get(self, session: Reader, sha256: str, *, cached: bool = True) -> bytes:
        """Return the bytes, checked. Raise Unavailable for a file that is missing or was changed in the database."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError("not a SHA-256")
        cache = self._cache if cached else None
        if cache is not None and (copy := cache.read(sha256)) is not None:
            return copy
        data = _whole(session, sha256)
        if cache is not None:
            cache.write(sha256, data)
        return data

    def remove(self, session: Session, sha256: str) -> None:
        """Delete the bytes, if they are there."""
        for table in (StoredPart, StoredFile):
            session.execute(delete(table).where(table.sha256 == sha256).execution_options(synchronize_session=False))


def _whole(session: Reader, sha256: str) -> bytes:
    """Read a file part by part and check it."""
    stored = session.execute(select(StoredFile.size, StoredFile.parts).where(StoredFile.sha256 == sha256)).first()
    if stored is None:
        raise Unavailable("The file cannot be read right now.", type="file-store-unavailable")
    digest, gathered = hashlib.sha256(), io.BytesIO()
    for part in _parts(session, sha256, stored.parts):
        digest.update(part)
        gathered.write(part)
    if digest.hexdigest() != sha256:
        raise Unavailable("The stored file is damaged.", type="file-damaged")
    return gathered.getvalue()  # no copy: the buffer itself becomes the bytes


def _parts(session: Reader, sha256: str, count: int) -> Iterator[bytes]:
    for place in range(count):
        part = session.execute(select(StoredPart.data).where(StoredPart.sha256 == sha256, StoredPart.place == place)).scalar()
        yield b"" if part is None else bytes(part)
