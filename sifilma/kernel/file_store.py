"""What a store of files promises; `documents.store` has the one that keeps them on a disk."""

from __future__ import annotations

from typing import Protocol


class FileStore(Protocol):
    """Keeps files by content. Both calls raise Unavailable when the store cannot do its work."""

    def put(self, data: bytes) -> str:
        """Keep the bytes; their SHA-256 (hex). The same bytes twice are kept once."""
        ...

    def get(self, sha256: str) -> bytes:
        """The bytes, verified against their name."""
        ...
