"""Storing an upload: it is checked, then stored in the database with its record, where neither can change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import sessionmaker

from sifilma.documents import service
from sifilma.documents.models import Document, DocumentKind, StoredFile
from sifilma.documents.service import Upload
from sifilma.documents.store import DatabaseStore
from sifilma.documents.tables import sheets
from sifilma.kernel.clock import ManualClock
from sifilma.kernel.context import Context
from sifilma.kernel.db import make_engine
from sifilma.kernel.errors import Invalid, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.unit_of_work import UnitOfWork
from tests.documents.files import letter, picture, xlsx

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture
def ctx(database_url: str) -> Iterator[Context]:
    engine = make_engine(database_url)
    unit = UnitOfWork(sessionmaker(engine))
    yield Context(unit, ManualClock(NOW))
    unit.close()
    engine.dispose()


@pytest.fixture
def store() -> DatabaseStore:
    return DatabaseStore()


def test_a_letter_is_stored_and_found_again(ctx: Context, store: DatabaseStore) -> None:
    data = letter()
    kept = service.keep_pdf(ctx, store, Upload("../Surat 470.pdf", data), DocumentKind.LETTER, "letter")
    ctx.uow.commit()
    found = service.get_document(ctx, kept.id)
    assert (found.kind, found.filename, found.media_type, found.size) == ("letter", "Surat 470.pdf", "application/pdf", len(data))
    assert found.created_at == NOW
    assert store.get(ctx.session, found.sha256) == data


def test_a_photo_and_a_table_are_stored(ctx: Context, store: DatabaseStore, tmp_path: Path) -> None:
    photo = service.keep_photo(ctx, store, Upload("a.jpg", picture(tmp_path, "jpeg")))
    table = service.keep_table(ctx, store, Upload("b.xlsx", xlsx(["pcid"], ["00"])), sheets.XLSX_TYPE)
    ctx.uow.commit()
    assert (photo.kind, photo.media_type) == ("photo", "image/jpeg")
    assert (table.kind, table.media_type) == ("batch", sheets.XLSX_TYPE)


def test_a_refused_file_is_not_stored(ctx: Context, store: DatabaseStore, tmp_path: Path) -> None:
    broken = picture(tmp_path, "png")[:200]
    attempts: list[Callable[[], Document]] = [
        lambda: service.keep_pdf(ctx, store, Upload("a.pdf", b"MZ"), DocumentKind.LETTER, "letter"),
        lambda: service.keep_photo(ctx, store, Upload("a.jpg", b"GIF89a")),
        lambda: service.keep_photo(ctx, store, Upload("a.png", broken)),
    ]
    for keep in attempts:
        with pytest.raises(Invalid):
            keep()
    assert ctx.session.scalar(select(func.count()).select_from(Document)) == 0
    assert ctx.session.scalar(select(func.count()).select_from(StoredFile)) == 0


def test_an_unknown_document_is_not_found(ctx: Context) -> None:
    with pytest.raises(NotFound):
        service.get_document(ctx, uuid7())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE document SET sha256 = sha256, size = 0",
        "DELETE FROM document",
        "UPDATE stored_part SET data = data",
        "UPDATE stored_file SET parts = 0",
        "DELETE FROM stored_part",
        "DELETE FROM stored_file",
        "INSERT INTO document (id, kind, sha256, size, media_type, filename, created_at) SELECT id, kind, '" + "0" * 64 + "', size,"
        " media_type, filename, created_at FROM document",
    ],
)
def test_the_database_refuses_a_change_of_a_document(ctx: Context, store: DatabaseStore, statement: str) -> None:
    service.keep_pdf(ctx, store, Upload("a.pdf", letter()), DocumentKind.LETTER, "letter")
    ctx.uow.commit()
    with pytest.raises(DatabaseError, match=r"document: |stored_\w+: "):
        ctx.session.execute(text(statement))
    ctx.uow.rollback()
