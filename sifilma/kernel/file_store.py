"""What a store of files promises; `documents.store` has the one that keeps them in the database."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.orm import Session

Reader = Session | Connection


class FileStore(Protocol):
    """Stores files by their content, in the transaction of the session that it is given. What is rolled back was never stored."""

    def put(self, session: Session, data: bytes) -> str:
        """Store the bytes and return their SHA-256 (hex). The same bytes are stored once."""
        ...

    def get(self, session: Reader, sha256: str, *, cached: bool = True) -> bytes:
        """Return the bytes after checking them against their SHA-256. `cached`: a copy on this node may be read and kept.

        Raise Unavailable if they are not there or were changed.
        """
        ...

    def remove(self, session: Session, sha256: str) -> None:
        """Delete the bytes, if they are there. The database refuses it for bytes that a document names."""
        ...
