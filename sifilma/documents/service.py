"""Store an upload: its bytes, then its record, in one transaction. The database takes no record whose bytes are not there."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select

from sifilma.documents.models import Document, DocumentKind
from sifilma.documents.uploads import JPEG, PNG, Facts, clean_name, clean_photo, inspect_pdf
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.file_store import FileStore


@dataclass(frozen=True)
class Upload:
    """A file as it was uploaded: its name and its bytes."""

    filename: str
    data: bytes


def keep_pdf(ctx: Context, store: FileStore, upload: Upload, kind: DocumentKind, field: str) -> Document:
    """Check a PDF and store it as it came. Raise Invalid as `inspect_pdf` does."""
    return _keep(ctx, store, upload, kind, inspect_pdf(upload.data, field))


def keep_photo(ctx: Context, store: FileStore, upload: Upload) -> Document:
    """Store a photo encoded anew: digest and size are those of what is stored. Raise Invalid as `clean_photo` does."""
    data, facts = clean_photo(upload.data, name=clean_name(upload.filename))
    return _keep(ctx, store, Upload(upload.filename, data), DocumentKind.PHOTO, facts)


def keep_attachment(ctx: Context, store: FileStore, upload: Upload, field: str) -> Document:
    """Store a picture encoded anew, or a PDF as it came. Raise Invalid for any other file, as `clean_photo` and `inspect_pdf` do."""
    if not upload.data.startswith((PNG, JPEG)):
        return keep_pdf(ctx, store, upload, DocumentKind.ATTACHMENT, field)
    data, facts = clean_photo(upload.data, field, name=clean_name(upload.filename))
    return _keep(ctx, store, Upload(upload.filename, data), DocumentKind.ATTACHMENT, facts)


def keep_table(ctx: Context, store: FileStore, upload: Upload, media_type: str) -> Document:
    """Store a batch file that was already read, so that its content is known to be a table."""
    return _keep(ctx, store, upload, DocumentKind.BATCH, Facts("", len(upload.data), media_type))


def get_document(ctx: Context, document_id: UUID) -> Document:
    """Return one document, or raise NotFound. The caller has checked that the actor may see the object it belongs to."""
    found = ctx.session.get(Document, document_id)
    if found is None:
        raise NotFound()
    return found


def sha256_of(ctx: Context, documents: dict[str, UUID | None]) -> dict[str, str | None]:
    """Return the SHA-256 (hex) for each name, None where there is no document. Runs one statement."""
    query = select(Document.id, Document.sha256).where(Document.id.in_([key for key in documents.values() if key]))
    found: dict[UUID, str] = dict(ctx.session.execute(query).all())
    return {name: found[key] if key else None for name, key in documents.items()}


def _keep(ctx: Context, store: FileStore, upload: Upload, kind: DocumentKind, facts: Facts) -> Document:
    document = Document(
        kind=str(kind),
        sha256=store.put(ctx.session, upload.data),
        size=facts.size,
        media_type=facts.media_type,
        filename=clean_name(upload.filename),
        organisation_id=ctx.actor.organisation_id,
        uploaded_by=ctx.actor.user_id,
        created_at=ctx.now,
    )
    ctx.session.add(document)
    ctx.session.flush()  # assigns the id, which the caller refers to
    return document
