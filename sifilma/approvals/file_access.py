"""Hand out the files of an object. Each download leaves an audit entry on the object."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.documents.service import get_document
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.file_store import FileStore


@dataclass(frozen=True)
class HandedOut:
    """A file to be sent, with its media type and its name."""

    data: bytes
    media_type: str
    filename: str


def hand_out(
    ctx: Context, store: FileStore, document_id: UUID | None, kind: str, object_id: UUID, organisation_id: UUID | None
) -> HandedOut:
    """Return a file of an object and record the download. Raise NotFound if `document_id` is None.

    The caller has found the object in the actor's scope. `organisation_id` is the organisation that the object concerns, None if it
    concerns none.
    """
    if document_id is None:
        raise NotFound()
    document = get_document(ctx, document_id)
    data = store.get(ctx.session, document.sha256)
    # A GET only reads until here: the file is read before the transaction that writes begins.
    ctx.uow.begin_write()
    record(ctx, Action.DOCUMENT_DOWNLOAD, kind, object_id, organisation_id=organisation_id, file=document.kind, sha256=document.sha256)
    return HandedOut(data, document.media_type, document.filename)
