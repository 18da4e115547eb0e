"""What a store of files promises; `documents.store` has the one that keeps them on a disk."""

from __future__ import annotations

from typing import Protocol


class FileStore(Protocol):
    """Stores files by their content. All methods raise Unavailable when the store cannot work."""

    def put(self, data: bytes) -> str:
        """Store the bytes and return their SHA-256 (hex). The same bytes are stored once."""
        ...

    def get(self, sha256: str) -> bytes:
        """Return the bytes after checking them against their SHA-256."""
        ...

    def remove(self, sha256: str) -> None:
        """Delete the bytes, if they are there. Only for bytes that no other record can name: sealed ones."""
        ...
