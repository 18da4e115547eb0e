"""Keeping an upload: file first, then its row."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from uuid import UUID

from sifilma.documents.models import Document, DocumentKind
from sifilma.documents.store import FileStore
from sifilma.documents.uploads import Facts, inspect_image, inspect_pdf
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound


@dataclass(frozen=True)
class Upload:
    """A file as it came: its name and its bytes."""

    filename: str
    data: bytes


def keep_pdf(ctx: Context, store: FileStore, upload: Upload, kind: DocumentKind, field: str) -> Document:
    """Check a PDF and keep it. Invalid as `inspect_pdf`."""
    return _keep(ctx, store, upload, kind, inspect_pdf(upload.data, field))


def keep_photo(ctx: Context, store: FileStore, upload: Upload) -> Document:
    """Check a photo and keep it. Invalid as `inspect_image`."""
    return _keep(ctx, store, upload, DocumentKind.PHOTO, inspect_image(upload.data))


def keep_table(ctx: Context, store: FileStore, upload: Upload, media_type: str) -> Document:
    """Keep a batch file that was read already."""
    return _keep(ctx, store, upload, DocumentKind.BATCH, Facts("", len(upload.data), media_type))


def get(ctx: Context, document_id: UUID) -> Document:
    """One document; NotFound. The caller has checked that the actor may see what it belongs to."""
    found = ctx.session.get(Document, document_id)
    if found is None:
        raise NotFound()
    return found


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


def clean_name(filename: str) -> str:
    """The last part of the name, printable, without direction marks, at most 120 characters: for display only."""
    name = unicodedata.normalize("NFC", filename.replace("\\", "/").rpartition("/")[2])
    name = "".join(ch for ch in name if ch.isprintable() and unicodedata.category(ch) != "Cf")
    return re.sub(r'["<>|*?:]', "_", name).strip(" .")[-120:] or "berkas"
