"""What the worker does by time: it makes and stores the BASTs that are not stored yet."""

from __future__ import annotations

from uuid import UUID

from config.settings import Settings
from sifilma.documents import issued_papers
from sifilma.handover import bast
from sifilma.handover.models import HANDOVER, Handover
from sifilma.handover.queries import stated_of
from sifilma.kernel.context import Context
from sifilma.kernel.file_store import FileStore


def store_papers(contexts: issued_papers.Contexts, settings: Settings, store: FileStore) -> int:
    """Store the BASTs that are not stored: those of many cards, and those from before papers were stored. Return their number."""

    def make(ctx: Context, handover_id: UUID) -> tuple[UUID, issued_papers.Made]:
        handover = ctx.session.get_one(Handover, handover_id)
        return handover.issuer_id, bast.make(ctx, settings, stated_of(ctx, handover))

    lacking = issued_papers.lacking_query(HANDOVER.kind, Handover.id)
    return issued_papers.store_lacking(contexts, store, HANDOVER.kind, lacking, make)
