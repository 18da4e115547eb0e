"""Store the bytes of uploads under their SHA-256. A stored file never changes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path

from sifilma.kernel.errors import Unavailable
from sifilma.kernel.ids import uuid7

_SHA256 = re.compile(r"[0-9a-f]{64}")


class DiskStore:
    """Files below one folder, `ab/cdef…`. A file is written before the record that names it; a file without a record does no harm."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> str:
        """Write under a temporary name, flush to the disk and rename, so that no partial file has a valid name.

        A damaged copy of the same bytes is replaced.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        try:
            if not _holds(path, digest):
                _write(path, data)
        except OSError as full:
            raise Unavailable("The file could not be stored; nothing was changed.", type="file-store-unavailable") from full
        return digest

    def get(self, sha256: str) -> bytes:
        """Read and check the bytes. Raise Unavailable for a file that is missing or was changed."""
        try:
            data = self._path(sha256).read_bytes()
        except OSError as gone:
            raise Unavailable("The file cannot be read right now.", type="file-store-unavailable") from gone
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Unavailable("The stored file is damaged.", type="file-damaged")
        return data

    def remove(self, sha256: str) -> None:
        """Delete the file, if it is there. Raise Unavailable if the disk refuses."""
        try:
            self._path(sha256).unlink(missing_ok=True)
        except OSError as refused:
            raise Unavailable("The file could not be deleted.", type="file-store-unavailable") from refused

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise ValueError("not a SHA-256")
        return self._folder / sha256[:2] / sha256[2:]


def _holds(path: Path, digest: str) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _write(path: Path, data: bytes) -> None:
    """Write the file and make it durable. After an OSError neither the file nor a part of it is left."""
    temporary = path.with_name(f".{uuid7().hex}")
    path.parent.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    for folder in (path.parent, path.parent.parent):  # without this a crash could undo the rename, or the new folder
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
