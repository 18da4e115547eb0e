"""Convert handovers to the schemas of the API."""

from __future__ import annotations

from typing import Any

from sifilma.accounts.serializers import party
from sifilma.cards.serializers import history_out
from sifilma.documents.issued_papers import find_paper
from sifilma.handover.models import HANDOVER, Handover, HandoverState
from sifilma.handover.queries import cards_of
from sifilma.handover.schemas import HandoverBrief, HandoverOut, PaperOut, SignatoryOut
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
        place=handover.place,
        signatories=[SignatoryOut(side=one.side, name=one.name, position=one.position) for one in handover.signatories],
        paper=_paper(ctx, handover),
        cards=[card.uid for card in cards_of(ctx, handover)],
        history=history_out(ctx, HANDOVER.kind, handover.id),
    )


def _paper(ctx: Context, handover: Handover) -> PaperOut | None:
    found = find_paper(ctx.session, HANDOVER.kind, handover.id)
    return PaperOut(sha256=found.document.sha256, size=found.document.size, template=found.template) if found else None


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
