"""Destructions as the API shows them. Id numbers of officials and witnesses stay on the Berita Acara."""

from __future__ import annotations

from typing import Any

from sifilma.accounts.present import party
from sifilma.cards.present import history_out
from sifilma.destruction.models import DESTRUCTION, Destruction, DestructionState
from sifilma.destruction.schemas import DestructionBrief, DestructionOut
from sifilma.destruction.service import cards_of, photos_of
from sifilma.kernel.context import Context
from sifilma.personalisation.present import approval_out
from sifilma.web.links import API, steps

VERBS = {
    "approve": DestructionState.APPROVED, "reject": DestructionState.REJECTED, "record": DestructionState.EXECUTED,
    "verify": DestructionState.VERIFIED, "cancel": DestructionState.CANCELLED,
}  # fmt: skip


def brief(found: Destruction) -> DestructionBrief:
    """A destruction in a list."""
    return DestructionBrief.model_validate(_common(found))


def full(ctx: Context, found: Destruction) -> DestructionOut:
    """A destruction with its record."""
    official = {"name": found.official_name, "position": found.official_position} if found.official_name else None
    return DestructionOut(
        **_common(found),
        cards=[card.uid for card in cards_of(ctx, found)],
        place=found.place,
        executed_at=found.executed_at,
        method=found.method,
        official=official,
        witnesses=[{"name": w.name, "office": w.office, "position": w.job} for w in found.witnesses],
        photos=[photo.sha256 for photo in photos_of(ctx, found)],
        record_digest=found.record_digest,
        legal_basis=found.legal_basis,
        history=history_out(ctx, DESTRUCTION.kind, found.id),
    )


def _common(found: Destruction) -> dict[str, Any]:
    document = {"document": f"{API}/destructions/{found.id}/document"} if found.number else {}
    return {
        "id": found.id,
        "state": found.state,
        "organisation": party(found.organisation),
        "cause": found.cause,
        "notes": found.notes,
        "digest": found.digest,
        "approvals": [approval_out(approval) for approval in found.approvals],
        "number": found.number,
        "created_at": found.created_at,
        "links": steps("destructions", found.id, DESTRUCTION, found.state, VERBS) | document,
    }
