"""Convert destructions to the schemas of the API. The identity numbers of officials and witnesses appear only on the Berita Acara."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select

from sifilma.accounts.serializers import party
from sifilma.cards.serializers import history_out
from sifilma.destruction.models import DESTRUCTION, Destruction, DestructionState
from sifilma.destruction.queries import cards_of, photos_of
from sifilma.destruction.schemas import DestructionBrief, DestructionOut
from sifilma.destruction.service import WAY
from sifilma.identity.models import Person
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import may_reach
from sifilma.kernel.context import Context
from sifilma.personalisation.serializers import approval_out
from sifilma.web.links import API, steps

VERBS = {
    "approve": DestructionState.APPROVED,
    "reject": DestructionState.REJECTED,
    "record": DestructionState.EXECUTED,
    "verify": DestructionState.VERIFIED,
    "cancel": DestructionState.CANCELLED,
}
_NEEDED = {
    "approve": Operation.DESTRUCTION_APPROVE,
    "record": Operation.DESTRUCTION_RECORD,
    "verify": Operation.DESTRUCTION_VERIFY,
    "cancel": Operation.DESTRUCTION_PROPOSE,
}


def brief(found: Destruction) -> DestructionBrief:
    """Return a destruction for a list."""
    return DestructionBrief.model_validate(_common(found))


def full(ctx: Context, found: Destruction) -> DestructionOut:
    """Return a destruction with its cards, its record and its steps."""
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


def offered(ctx: Context, found: Destruction) -> frozenset[str]:
    """Return what the actor may do with a destruction in its state: some of `approve` (and reject), `record`, `verify`, `cancel`."""
    barred = {
        "approve": WAY.objection(ctx, found) is not None,
        "verify": ctx.actor.person_id in (found.submitted_by_person, found.recorded_by_person),
        "record": found.organisation_id != ctx.actor.organisation_id,
    }
    return frozenset(
        verb
        for verb, needed in _NEEDED.items()
        if DESTRUCTION.allows(found.state, VERBS[verb])
        and may_reach(ctx.actor, needed, found.organisation_id)
        and not barred.get(verb, False)
    )


def people(ctx: Context, found: Destruction) -> dict[UUID, str]:
    """Return the names of those who proposed, approved, recorded and verified it, by person id."""
    acting = {found.submitted_by_person, found.recorded_by_person, found.verified_by_person} | {one.person_id for one in found.approvals}
    query = select(Person.id, Person.name).where(Person.id.in_(acting - {None}))
    return dict(ctx.session.execute(query).all())
