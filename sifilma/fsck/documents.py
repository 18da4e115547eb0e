"""Invariants of uploaded files: each is in the store as its row says."""

from __future__ import annotations

from sqlalchemy import select

from sifilma.documents.models import Document
from sifilma.fsck.dialects import bare
from sifilma.fsck.registry import Found, Needs, in_snapshot, outside
from sifilma.fsck.snapshot import Outside, Snapshot, broken
from sifilma.kernel.errors import Unavailable


@outside("document-file", "Every uploaded document's file is there, with its SHA-256 and its size.", Needs.FILES)
def file(look: Outside) -> Found:
    """Read each file once. No transaction is needed: rows never change, and a file is written before its row."""
    for rows in look.batches(select(Document.id, Document.sha256, Document.size, Document.kind), Document.id):
        for row in rows:
            try:
                data = look.files.get(row.sha256)
            except (Unavailable, ValueError) as fault:
                damaged = isinstance(fault, Unavailable) and fault.type == "file-damaged"
                yield broken("document", row.id, f"({row.kind}) has a file that is {'damaged' if damaged else 'not there'}")
                continue
            if len(data) != row.size:
                yield broken("document", row.id, f"({row.kind}) has {len(data)} bytes, its row says {row.size}")


@in_snapshot("document-uploader", "A document was uploaded by an account of its organisation.")
def uploader(now: Snapshot) -> Found:
    """Compare the document's organisation with that of the account. Uploads with an API key name no account."""
    document, user = bare("document"), bare("user_account")
    return now.find(
        "document",
        select(document.c.id, document.c.kind)
        .join(user, user.c.id == document.c.uploaded_by)
        .where(document.c.organisation_id.is_distinct_from(user.c.organisation_id)),
        "({kind}) was uploaded by an account of another organisation",
    )
