"""The file store: each file is stored once, completely or not at all, and verified when it is read."""

from __future__ import annotations

import hashlib
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sifilma.documents.store import DiskStore
from sifilma.kernel.errors import Unavailable

DATA = b"surat" * 1000


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "home" / "files")


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Limit files to 1,000 bytes, so that a write fails half-way as on a full disk (EFBIG instead of ENOSPC)."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_stored_file_is_read_by_its_digest(store: DiskStore, tmp_path: Path) -> None:
    digest = store.put(DATA)
    assert digest == hashlib.sha256(DATA).hexdigest()
    assert store.get(digest) == DATA
    assert files_in(tmp_path) == [tmp_path / "home" / "files" / digest[:2] / digest[2:]]


def test_the_same_bytes_are_stored_once(store: DiskStore, tmp_path: Path) -> None:
    assert store.put(DATA) == store.put(DATA)
    assert len(files_in(tmp_path)) == 1


def test_only_the_owner_can_read_the_files(store: DiskStore, tmp_path: Path) -> None:
    store.put(DATA)
    [path] = files_in(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_a_changed_file_is_refused(store: DiskStore, tmp_path: Path) -> None:
    digest = store.put(DATA)
    [path] = files_in(tmp_path)
    path.write_bytes(DATA[:-1] + b"!")
    with pytest.raises(Unavailable) as refused:
        store.get(digest)
    assert refused.value.type == "file-damaged"


def test_the_same_upload_repairs_a_damaged_file(store: DiskStore, tmp_path: Path) -> None:
    digest = store.put(DATA)
    files_in(tmp_path)[0].write_bytes(b"")
    store.put(DATA)
    assert store.get(digest) == DATA


def test_a_missing_file_is_reported_as_unavailable(store: DiskStore) -> None:
    with pytest.raises(Unavailable):
        store.get("0" * 64)


@pytest.mark.parametrize("name", ["", "../../../etc/passwd", "0" * 63, "G" * 64, "0" * 64 + "\n", "A" * 64])
def test_a_name_that_is_not_a_digest_is_refused(store: DiskStore, name: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        store.get(name)


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_no_partial_file(store: DiskStore, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        store.put(DATA)
    assert files_in(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_reported_as_unavailable(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(Unavailable):
        DiskStore(tmp_path / "home" / "files").put(DATA)


def test_many_threads_store_the_same_file(store: DiskStore, tmp_path: Path) -> None:
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(store.put(DATA))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 16
    assert len(set(digests)) == len(files_in(tmp_path)) == 1
