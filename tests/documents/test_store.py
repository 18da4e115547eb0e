"""The file store: each file is stored once, in parts, with its transaction or not at all, and verified when it is read."""

from __future__ import annotations

import hashlib
import shutil
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from sifilma.documents import file_import
from sifilma.documents.file_cache import FileCache
from sifilma.documents.models import Document
from sifilma.documents.store import PART, DatabaseStore
from sifilma.kernel import triggers
from sifilma.kernel.db import make_engine
from sifilma.kernel.errors import Unavailable
from sifilma.kernel.ids import uuid7
from tests.support.simultaneous_calls import run_simultaneously

DATA = b"surat" * 1000


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = make_engine(database_url, pool_size=5)
    yield made
    made.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "cache" / "files"


@pytest.fixture
def store(folder: Path) -> DatabaseStore:
    return DatabaseStore(FileCache(folder, 2**20))


def put(engine: Engine, store: DatabaseStore, data: bytes) -> str:
    with Session(engine) as session, session.begin():
        return store.put(session, data)


def got(engine: Engine, store: DatabaseStore, digest: str, *, cached: bool = True) -> bytes:
    with engine.connect() as connection:
        return store.get(connection, digest, cached=cached)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def rows(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 3 * PART])
def test_a_file_of_any_size_is_read_as_it_was_stored_with_and_without_its_cache(
    engine: Engine, store: DatabaseStore, folder: Path, size: int
) -> None:
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    digest = put(engine, store, data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert files_in(folder) == []
    assert [got(engine, store, digest), got(engine, store, digest)] == [data, data]
    assert files_in(folder) == [folder / digest[:2] / digest[2:]]
    shutil.rmtree(folder)
    assert got(engine, store, digest) == data
    assert rows(engine, "SELECT size, parts FROM stored_file") == [(size, -(-size // PART))]
    assert rows(engine, "SELECT COUNT(*) FROM stored_part") == [(-(-size // PART),)]


def test_the_same_bytes_are_stored_once_also_at_the_same_time(engine: Engine, store: DatabaseStore) -> None:
    assert len(set(run_simultaneously([lambda: put(engine, store, DATA)] * 4))) == 1
    assert rows(engine, "SELECT COUNT(*) FROM stored_file") == rows(engine, "SELECT COUNT(*) FROM stored_part") == [(1,)]


def test_what_is_rolled_back_was_never_stored_and_what_nothing_names_can_be_removed(engine: Engine, store: DatabaseStore) -> None:
    with Session(engine) as session:
        store.put(session, DATA)
        session.rollback()
    assert rows(engine, "SELECT sha256 FROM stored_file") == []
    digest = put(engine, store, DATA)
    with Session(engine) as session, session.begin():
        store.remove(session, digest)
    with pytest.raises(Unavailable) as gone:
        got(engine, store, digest)
    assert gone.value.type == "file-store-unavailable"


def test_a_changed_copy_is_thrown_away_and_bytes_that_were_changed_in_the_database_are_refused(
    engine: Engine, store: DatabaseStore, folder: Path
) -> None:
    digest = put(engine, store, DATA)
    got(engine, store, digest)
    [path] = files_in(folder)
    path.write_bytes(DATA[:-1] + b"!")
    assert got(engine, store, digest) == path.read_bytes() == DATA
    with engine.begin() as connection:
        triggers.uninstall(connection)
        connection.execute(text("UPDATE stored_part SET data = :wrong"), {"wrong": DATA[:-1] + b"!"})
    with pytest.raises(Unavailable) as refused:
        got(engine, store, digest, cached=False)
    assert refused.value.type == "file-damaged"


def test_only_the_owner_can_read_the_copies_and_they_stay_few(engine: Engine, store: DatabaseStore, folder: Path) -> None:
    got(engine, store, put(engine, store, DATA))
    [path] = files_in(folder)
    assert [one.stat().st_mode & 0o777 for one in (path, path.parent, folder)] == [0o600, 0o700, 0o700]
    few = FileCache(folder, 2 * len(DATA))
    for number in range(4):
        few.write(hashlib.sha256(bytes([number])).hexdigest(), DATA)
    few.sweep()
    assert len(files_in(folder)) == 2


def test_a_file_is_never_in_memory_twice(engine: Engine) -> None:
    data, store = bytes(8 * PART), DatabaseStore()
    tracemalloc.start()
    try:
        digest = put(engine, store, data)
        stored = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert len(got(engine, store, digest)) == len(data)
        read = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert stored < 5 * PART  # beside the upload itself
    assert read < 8 * PART + 5 * PART


@pytest.mark.parametrize("name", ["", "../../../etc/passwd", "0" * 63, "G" * 64, "0" * 64 + "\n", "A" * 64])
def test_a_name_that_is_not_a_digest_is_refused(engine: Engine, store: DatabaseStore, name: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        got(engine, store, name)


def document(session: Session, data: bytes, name: str) -> None:
    """Put in a row as versions of before left it: its bytes are not in the database."""
    session.add(
        Document(
            id=uuid7(), kind="letter", sha256=hashlib.sha256(data).hexdigest(), size=len(data), media_type="application/pdf",
            filename=name, created_at=datetime(2026, 11, 23, tzinfo=UTC),
        )
    )  # fmt: skip


def test_files_of_a_folder_are_brought_in_and_missing_and_changed_ones_named_as_often_as_it_takes(engine: Engine, tmp_path: Path) -> None:
    letters = {f"{number:02}.pdf": b"surat %d" % number * 100 for number in range(file_import.AT_ONCE + 5)}
    with engine.begin() as connection:
        triggers.uninstall(connection)
    with Session(engine) as session, session.begin():
        for name, data in letters.items():
            document(session, data, name)
    with engine.begin() as connection:
        triggers.install(connection)
    paths = {name: tmp_path / digest[:2] / digest[2:] for name, data in letters.items() for digest in [hashlib.sha256(data).hexdigest()]}
    for name, path in paths.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(letters[name])
    paths["03.pdf"].unlink()
    paths["04.pdf"].write_bytes(b"other")
    done = file_import.bring(engine, tmp_path)
    assert done.count == len(letters) - 2
    assert sorted((one.named_by, one.why) for one in done.missing) == [
        ("document letter 03.pdf", f"is not in {tmp_path}"),
        ("document letter 04.pdf", f"in {tmp_path} was changed"),
    ]
    for name in ("03.pdf", "04.pdf"):
        paths[name].write_bytes(letters[name])
    again = file_import.bring(engine, tmp_path)
    assert (again.count, again.missing) == (2, [])
    assert all(path.exists() for path in paths.values())
    store = DatabaseStore()
    assert {got(engine, store, hashlib.sha256(data).hexdigest()) for data in letters.values()} == set(letters.values())
