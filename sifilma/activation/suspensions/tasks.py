"""What happens by time: a card is suspended whose rejected place nobody decided on until the deadline."""

from __future__ import annotations

from sqlalchemy import select

from sifilma.activation.suspensions.models import PlaceSuspension, SuspensionState
from sifilma.activation.suspensions.queries import unreviewed
from sifilma.activation.suspensions.service import KIND, execute, lock
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import Card, CardState
from sifilma.kernel.context import Context
from sifilma.kernel.text import say

# At most so many in one transaction.
AT_ONCE = 200


def suspend_overdue(ctx: Context) -> int:
    """Suspend active cards whose proposal is past its deadline, each by an act of its own. Return their number.

    A card whose new place waits for its review is left: its holder has answered, the operators have not. So is one that a program reported:
    it is suspended already, and a person decides on that first. Raise ClockNotTrusted.
    """
    late = (
        select(PlaceSuspension)
        .join(Card, Card.id == PlaceSuspension.card_id)
        .where(
            PlaceSuspension.state == SuspensionState.PROPOSED,
            PlaceSuspension.due_at <= ctx.due_until(),
            Card.state == CardState.ACTIVE,
            ~unreviewed(),
        )
        .order_by(PlaceSuspension.due_at)
        .limit(AT_ONCE)
    )
    # One that a person or another worker has locked is left for the next run: a card is suspended once in the installation.
    rows = list(ctx.session.scalars(late.with_for_update(of=PlaceSuspension, skip_locked=True)))
    return sum(_suspend(ctx, found) for found in rows)


def _suspend(ctx: Context, found: PlaceSuspension) -> int:
    card = lock(ctx.session, found.card_id)
    if card.state != CardState.ACTIVE:  # something happened to it since it was read
        return 0
    act = record(ctx, Action.PLACE_SUSPENSION_OVERDUE, KIND, found.id, organisation_id=found.organisation_id, card=card.uid)
    execute(ctx.session, found, card, act, say("The deadline has passed, and nobody decided."))
    return 1
