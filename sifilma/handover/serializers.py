"""Convert handovers to the schemas of the API."""

from __future__ import annotations

from typing import Any

from sifilma.accounts.serializers import party
from sifilma.cards.serializers import history_out
from sifilma.handover.models import HANDOVER, Handover, HandoverState
from sifilma.handover.schemas import HandoverBrief, HandoverOut
from sifilma.handover.service import cards_of
from sifilma.kernel.context import Context
from sifilma.web.links import API, steps

VERBS = {"receive": HandoverState.RECEIVED, "refuse": HandoverState.REFUSED, "cancel": HandoverState.CANCELLED}


def brief(handover: Handover) -> HandoverBrief:
    """Return a handover for a list."""
    return HandoverBrief.model_validate(_common(handover))


def full(ctx: Context, handover: Handover) -> HandoverOut:
    """Return a handover with its cards and its steps."""
    return HandoverOut(
        **_common(handover),
        notes=handover.notes,
        digest=handover.digest,
        cards=[card.uid for card in cards_of(ctx, handover)],
        history=history_out(ctx, HANDOVER.kind, handover.id),
    )


def _common(handover: Handover) -> dict[str, Any]:
    return {
        "id": handover.id,
        "state": handover.state,
        "number": handover.number,
        "issuer": party(handover.issuer),
        "receiver": party(handover.receiver),
        "issued_at": handover.issued_at,
        "count": len(handover.cards),
        "links": steps("handovers", handover.id, HANDOVER, handover.state, VERBS) | {"document": f"{API}/handovers/{handover.id}/document"},
    }
