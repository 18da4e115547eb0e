"""What the worker does by time: it stores the Berita Acara from before papers were stored."""

from __future__ import annotations

from uuid import UUID

from config.settings import Settings
from sifilma.destruction import berita_acara
from sifilma.destruction.models import DESTRUCTION, Destruction
from sifilma.documents import issued_papers
from sifilma.documents.rendering import FIRST
from sifilma.kernel.context import Context
from sifilma.kernel.file_store import FileStore


def store_papers(contexts: issued_papers.Contexts, settings: Settings, store: FileStore) -> int:
    """Store each Berita Acara that is not stored, made as it was then. Return their number."""

    def make(ctx: Context, destruction_id: UUID) -> tuple[UUID, issued_papers.Made]:
        found = ctx.session.get_one(Destruction, destruction_id)
        return found.organisation_id, berita_acara.make(ctx, store, settings, found, FIRST)

    lacking = issued_papers.lacking_query(DESTRUCTION.kind, Destruction.id).where(Destruction.executed_at.is_not(None))
    return issued_papers.store_lacking(contexts, store, DESTRUCTION.kind, lacking, make)
