"""How many cards an actor sees, by state, without reading the cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import case, func, select, union_all

from sifilma.cards.derived.models import CardTally, CardTallyChange
from sifilma.identity.permissions import Operation, Scope, grants
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Context

# One statement reads both tables: what the worker moves from one to the other meanwhile is counted once.
_every = union_all(
    select(CardTally.holder_id, CardTally.buyer_id, CardTally.state, CardTally.count),
    select(CardTallyChange.holder_id, CardTallyChange.buyer_id, CardTallyChange.state, CardTallyChange.amount),
).subquery("tallied")


def is_tallied(ctx: Context) -> bool:
    """Return whether the tally answers for the actor.

    It does not know in which machine a card is: a manufacturer also sees cards in its machines, and who is limited to outlets only those.
    """
    return ctx.actor.outlets is None and all(grant.scope is not Scope.LINKED for grant in grants(ctx.actor, Operation.CARD_VIEW))


def by_state(ctx: Context) -> Sequence[Any]:
    """Return states with the number of cards that the actor sees, and of those that the actor's organisation holds."""
    held = case((_every.c.holder_id == ctx.actor.organisation_id, _every.c.count), else_=0)
    query = select(_every.c.state, func.sum(_every.c.count), func.sum(held)).group_by(_every.c.state)
    owners = (_every.c.holder_id, _every.c.buyer_id)
    rows = ctx.session.execute(scoped(query, ctx.actor, Operation.CARD_VIEW, owners)).all()
    return [row for row in rows if row[1]]
