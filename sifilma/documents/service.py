"""Keeping an upload: file first, then its row."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from sifilma.documents import rendering
from sifilma.documents.models import Document, DocumentKind
from sifilma.documents.uploads import Facts, clean_name, inspect_image, inspect_pdf
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Invalid, NotFound
from sifilma.kernel.file_store import FileStore
from sifilma.kernel.text import say


@dataclass(frozen=True)
class Upload:
    """A file as it came: its name and its bytes."""

    filename: str
    data: bytes


def keep_pdf(ctx: Context, store: FileStore, upload: Upload, kind: DocumentKind, field: str) -> Document:
    """Check a PDF and keep it. Invalid as `inspect_pdf`."""
    return _keep(ctx, store, upload, kind, inspect_pdf(upload.data, field))


def keep_photo(ctx: Context, store: FileStore, upload: Upload) -> Document:
    """Check a photo and keep it. Invalid as `inspect_image`, or when the Berita Acara could not show it."""
    facts = inspect_image(upload.data)
    if not rendering.can_show(upload.data, facts.media_type):
        raise Invalid.field("photos", say("The photo %(name)s is damaged.", name=clean_name(upload.filename)))
    return _keep(ctx, store, upload, DocumentKind.PHOTO, facts)


def keep_table(ctx: Context, store: FileStore, upload: Upload, media_type: str) -> Document:
    """Keep a batch file that was read already."""
    return _keep(ctx, store, upload, DocumentKind.BATCH, Facts("", len(upload.data), media_type))


def get(ctx: Context, document_id: UUID) -> Document:
    """One document; NotFound. The caller has checked that the actor may see what it belongs to."""
    found = ctx.session.get(Document, document_id)
    if found is None:
        raise NotFound()
    return found


def sha256_of(ctx: Context, documents: dict[str, UUID | None]) -> dict[str, str | None]:
    """The SHA-256 (hex) behind each name, in one statement; None where there is no document."""
    query = select(Document.id, Document.sha256).where(Document.id.in_([key for key in documents.values() if key]))
    found: dict[UUID, str] = dict(ctx.session.execute(query).all())
    return {name: found[key] if key else None for name, key in documents.items()}


def _keep(ctx: Context, store: FileStore, upload: Upload, kind: DocumentKind, facts: Facts) -> Document:
    document = Document(
        kind=str(kind),
        sha256=store.put(upload.data),
        size=facts.size,
        media_type=facts.media_type,
        filename=clean_name(upload.filename),
        organisation_id=ctx.actor.organisation_id,
        uploaded_by=ctx.actor.user_id,
        created_at=ctx.now,
    )
    ctx.session.add(document)
    ctx.session.flush()
    return document
