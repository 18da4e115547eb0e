"""What the worker does by time: it makes and stores papers about many cards."""

from __future__ import annotations

from uuid import UUID

from config.settings import Settings
from sifilma.documents import issued_papers
from sifilma.handover.discrepancies import berita_acara
from sifilma.handover.discrepancies.models import Discrepancy
from sifilma.handover.discrepancies.queries import differing_of
from sifilma.handover.discrepancies.service import KIND
from sifilma.kernel.context import Context
from sifilma.kernel.file_store import FileStore


def store_papers(contexts: issued_papers.Contexts, settings: Settings, store: FileStore) -> int:
    """Store the papers that are not stored: those about many cards. Return their number."""

    def make(ctx: Context, handover_id: UUID) -> tuple[UUID, issued_papers.Made]:
        stated = differing_of(ctx, ctx.session.get_one(Discrepancy, handover_id))
        return stated.handover.receiver_id, berita_acara.make(ctx, settings, stated)

    return issued_papers.store_lacking(contexts, store, KIND, issued_papers.lacking_query(KIND, Discrepancy.handover_id), make)
