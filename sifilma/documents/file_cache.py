"""Copies of stored files on this node, in a folder that can be thrown away at any moment. It only saves ways to the database."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import structlog

from sifilma.kernel.ids import uuid7

log = structlog.get_logger()
SWEEP = 64
"""After so many new copies a process looks at how much the folder holds."""


class FileCache:
    """Files below one folder, `ab/cdef…`, `most` bytes of them. Nothing rests on it, so no fault of its disk is a fault of the caller."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most, self._written = folder, most, 0

    def read(self, sha256: str) -> bytes | None:
        """Return a copy that is what it was, or None. One that was changed is deleted."""
        path = self._path(sha256)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return None

    def write(self, sha256: str, data: bytes) -> None:
        """Keep a copy, unless the disk refuses. It appears under its name when it is whole."""
        path = self._path(sha256)
        temporary = path.with_name(f".{uuid7().hex}")
        try:
            path.parent.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.parent.mkdir(exist_ok=True, mode=0o700)
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
                handle.write(data)
            temporary.replace(path)
        except OSError as full:
            log.warning("file_not_cached", reason=str(full))
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            return
        self._written += 1
        if self._written % SWEEP == 0:
            self.sweep()

    def sweep(self) -> None:
        """Delete the copies that were written first, until the rest is `most` bytes at most."""
        found = []
        for path in self._folder.rglob("*"):
            with contextlib.suppress(OSError):  # another process may have deleted it
                if path.is_file():
                    found.append((path.stat().st_mtime, path.stat().st_size, path))
        held = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if held <= self._most:
                return
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            held -= size

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256[2:]
