"""Add up the changes of the tally of cards."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from sqlalchemy import delete, select

from sifilma.cards.derived.models import CardTally, CardTallyChange
from sifilma.kernel.context import Context
from sifilma.kernel.db import upsert

AT_ONCE = 5_000


def add_up(ctx: Context) -> int:
    """Add the oldest changes to the tally, at most AT_ONCE. Return their number.

    Another worker that does the same meanwhile takes other changes.
    """
    oldest = select(CardTallyChange.id).order_by(CardTallyChange.id).limit(AT_ONCE).with_for_update(skip_locked=True)
    taken = delete(CardTallyChange).where(CardTallyChange.id.in_(oldest))
    columns = (CardTallyChange.holder_id, CardTallyChange.buyer_id, CardTallyChange.state, CardTallyChange.amount)
    rows = ctx.session.execute(taken.returning(*columns).execution_options(synchronize_session=False)).all()
    sums: Counter[tuple[UUID, UUID, str]] = Counter()
    for holder_id, buyer_id, state, amount in rows:
        sums[holder_id, buyer_id, state] += amount
    for (holder_id, buyer_id, state), amount in sorted(sums.items()):
        added = upsert(ctx.session, CardTally).values(holder_id=holder_id, buyer_id=buyer_id, state=state, count=amount)
        keys = ["holder_id", "buyer_id", "state"]
        ctx.session.execute(added.on_conflict_do_update(index_elements=keys, set_={"count": CardTally.count + added.excluded.count}))
    return len(rows)
