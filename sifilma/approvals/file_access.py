"""Handing out the files of what somebody may see: by whom and when is recorded."""

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
    """A file on its way to somebody."""

    data: bytes
    media_type: str
    filename: str


def hand_out(ctx: Context, store: FileStore, document_id: UUID | None, kind: str, object_id: UUID, organisation_id: UUID) -> HandedOut:
    """The file of an object the caller has found in the actor's scope, recorded on that object; NotFound where there is none.

    `organisation_id` is whose affair the object is.
    """
    if document_id is None:
        raise NotFound()
    document = get_document(ctx, document_id)
    data = store.get(document.sha256)
    ctx.uow.begin_write()
    record(ctx, Action.DOCUMENT_DOWNLOAD, kind, object_id, organisation_id=organisation_id, file=document.kind, sha256=document.sha256)
    return HandedOut(data, document.media_type, document.filename)
