"""List a person's notices, and mark them as seen. Having seen something changes nothing but the list: it has no audit entry."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.paging import Listing
from sifilma.notifications import bell
from sifilma.notifications.models import Notice
from sifilma.reports.bell.schemas import SeenIn, SeenOut


def list_notices(ctx: Context, *, unseen: bool = False) -> Listing[Notice]:
    """Return the actor's notices, or only those that they have not seen."""
    query = bell.notices_query(ctx)
    return (query.where(Notice.seen_at.is_(None)) if unseen else query), Notice.id


def get_notice(ctx: Context, notice_id: UUID) -> Notice:
    """Return a notice of the actor. Raise NotFound for any other."""
    found = ctx.session.scalars(bell.notices_query(ctx).where(Notice.id == notice_id)).first()
    if found is None:
        raise NotFound()
    return found


def mark_seen(ctx: Context, data: SeenIn) -> SeenOut:
    """Mark notices of the actor as seen. Those of others, and those that were seen before, are passed over."""
    named = Notice.id.in_(data.ids) if data.ids is not None else Notice.id <= data.until
    seen = bell.mark_seen(ctx, named)
    return SeenOut(seen=seen, unseen=ctx.session.scalars(select(bell.unseen_count(ctx.actor.user_id))).one())


def open_notice(ctx: Context, notice_id: UUID) -> Notice:
    """Return a notice of the actor whose page they open: they have seen it. Raise NotFound for any other."""
    found = get_notice(ctx, notice_id)
    bell.mark_seen(ctx, Notice.id == found.id)
    return found
