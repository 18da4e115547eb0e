"""Convert proposals to suspend a card for its place to the schemas of the API and of the pages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from sifilma.activation.suspensions.models import PLACE_SUSPENSION, PlaceSuspension, SuspensionState
from sifilma.activation.suspensions.schemas import PlaceSuspensionBrief, PlaceSuspensionOut
from sifilma.cards.models import Card
from sifilma.cards.serializers import history_out
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import may_reach
from sifilma.kernel.context import Context
from sifilma.web.links import steps

VERBS = {"decision": SuspensionState.DROPPED, "lift": SuspensionState.LIFTED}


def suspensions_out(ctx: Context, found: list[PlaceSuspension]) -> list[PlaceSuspensionBrief]:
    """Return proposals with their cards and holders, in one query for all."""
    query = (
        select(PlaceSuspension.id, Card.uid, Card.state, Organisation.name)
        .join(Card, Card.id == PlaceSuspension.card_id)
        .join(Organisation, Organisation.id == PlaceSuspension.organisation_id)
        .where(PlaceSuspension.id.in_([one.id for one in found]))
    )
    rows = {row.id: row for row in ctx.session.execute(query)}
    return [PlaceSuspensionBrief(**_common(ctx, one, rows[one.id])) for one in found]


def full(ctx: Context, found: PlaceSuspension) -> PlaceSuspensionOut:
    """Return one proposal with its steps."""
    brief = suspensions_out(ctx, [found])[0]
    return PlaceSuspensionOut(**brief.model_dump(), history=history_out(ctx, PLACE_SUSPENSION.kind, found.id))


def _common(ctx: Context, one: PlaceSuspension, row: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state,
        "card": row.uid,
        "card_state": row.state,
        "activation": one.activation_id if may_reach(ctx.actor, Operation.MANIFEST_VIEW, one.organisation_id) else None,
        "organisation_id": one.organisation_id,
        "organisation": row.name,
        "reason": one.reason,
        "proposed_at": one.proposed_at,
        "due_at": one.due_at,
        "decided_at": one.decided_at,
        "links": steps("place-suspensions", one.id, PLACE_SUSPENSION, one.state, VERBS),
    }
