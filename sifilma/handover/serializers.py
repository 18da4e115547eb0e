"""Convert handovers to the schemas of the API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sifilma.accounts.serializers import party
from sifilma.cards.serializers import history_out
from sifilma.documents.issued_papers import find_paper
from sifilma.handover.discrepancies.models import DifferenceState
from sifilma.handover.discrepancies.queries import cards_of as differing_cards
from sifilma.handover.discrepancies.queries import find_discrepancy
from sifilma.handover.models import HANDOVER, RECEIPTS, Handover, HandoverState
from sifilma.handover.queries import cards_of
from sifilma.handover.schemas import DifferenceOut, DiscrepancyOut, HandoverBrief, HandoverOut, PaperOut, SignatoryOut
from sifilma.kernel.context import Context
from sifilma.web.links import API, steps

SETTLED_BY_ISSUER, SETTLED_BY_RECEIVER = ("found", "send-again", "lost"), ("arrived",)
"""What each side can say of a missing card, as the last part of its URL."""
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
        paper=_paper(ctx, HANDOVER.kind, handover.id),
        cards=[card.uid for card in cards_of(ctx, handover)],
        discrepancy=discrepancy_out(ctx, handover),
        history=history_out(ctx, HANDOVER.kind, handover.id),
    )


def discrepancy_out(ctx: Context, handover: Handover) -> DiscrepancyOut | None:
    """Return what the receipt of a handover differed in, or None."""
    found = find_discrepancy(ctx, handover) if handover.state in RECEIPTS else None
    if found is None:
        return None
    base, own = f"{API}/handovers/{handover.id}", ctx.actor.organisation_id
    verbs = SETTLED_BY_ISSUER if own == handover.issuer_id else SETTLED_BY_RECEIVER if own == handover.receiver_id else ()
    is_open = any(row.state == DifferenceState.MISSING for row in found.cards)
    return DiscrepancyOut(
        number=found.number,
        recorded_at=found.recorded_at,
        place=found.place,
        notes=found.notes,
        digest=found.digest,
        signatories=[SignatoryOut(side=one.side, name=one.name, position=one.position) for one in found.signatories],
        paper=_paper(ctx, "discrepancy", handover.id),
        cards=[
            DifferenceOut(sam_uid=card.uid, state=row.state, note=row.note, police_report=row.police_report)
            for row, card in zip(found.cards, differing_cards(ctx, found), strict=True)
        ],
        links={"document": f"{base}/discrepancy"} | ({verb: f"{base}/{verb}" for verb in verbs} if is_open else {}),
    )


def _paper(ctx: Context, kind: str, key: UUID) -> PaperOut | None:
    found = find_paper(ctx.session, kind, key)
    return PaperOut(sha256=found.document.sha256, size=found.document.size, template=found.template) if found else None


def _common(handover: Handover) -> dict[str, Any]:
    return {
        "id": handover.id,
        "state": handover.state,
        "kind": handover.kind,
        "reason": handover.reason,
        "number": handover.number,
        "issuer": party(handover.issuer),
        "receiver": party(handover.receiver),
        "issued_at": handover.issued_at,
        "count": handover.count,
        "links": steps("handovers", handover.id, HANDOVER, handover.state, VERBS) | {"document": f"{API}/handovers/{handover.id}/document"},
    }
