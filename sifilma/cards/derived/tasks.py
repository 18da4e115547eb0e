"""Add up the changes of the tally of cards."""

from __future__ import annotations

from sqlalchemy import delete, select

from sifilma.cards.derived.models import CardTally, CardTallyChange
from sifilma.cards.derived.queries import changes, sums_query
from sifilma.kernel.context import Context
from sifilma.kernel.db import among, upsert

AT_ONCE = 5_000
KEY = ("holder_id", "buyer_id", "model_id", "state")


def add_up(ctx: Context, most: int = AT_ONCE) -> int:
    """Add the oldest changes to the tally, at most `most`. Return their number.

    Another worker that does the same meanwhile takes other changes.
    """
    oldest = select(CardTallyChange.id).order_by(CardTallyChange.id).limit(most).with_for_update(skip_locked=True)
    ids = list(ctx.session.scalars(oldest))
    if not ids:
        return 0
    these = among(ctx.session, CardTallyChange.id, ids)
    rows = sums_query(changes(these).subquery("changed"))
    ordered = rows.order_by(*list(rows.selected_columns)[: len(KEY)])  # two workers never wait for each other in a circle
    added = upsert(ctx.session, CardTally).from_select([*KEY, "count"], ordered)
    ctx.session.execute(added.on_conflict_do_update(index_elements=KEY, set_={"count": CardTally.count + added.excluded.count}))
    ctx.session.execute(delete(CardTallyChange).where(these).execution_options(synchronize_session=False))
    return len(ids)
