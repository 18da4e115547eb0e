"""What pages show of who has the work on an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sifilma.assignment.queries import Colleague, Holder, find_holder, list_colleagues
from sifilma.assignment.service import duties
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound


@dataclass(frozen=True)
class Place:
    """A kind of object whose work is divided: the beginning of its paths, and its page."""

    kind: str
    path: str
    endpoint: str
    argument: str


PLACES: Mapping[str, Place] = {
    one.kind: one
    for one in (
        Place("personalisation_request", "/personalisasi", "personalisation_pages.show", "request_id"),
        Place("activation_request", "/aktivasi", "activation_pages.show", "request_id"),
        Place("destruction", "/pemusnahan", "destruction_pages.show", "destruction_id"),
        Place("manifest", "/manifest", "manifest_pages.show", "manifest_id"),
        Place("reference_change", "/organisasi/usulan", "reference_pages.show", "change_id"),
        Place("model_case", "/model/permohonan", "model_pages.case", "case_id"),
        Place("activation", "/tinjauan", "review_pages.show", "activation_id"),
    )
}


BOTH, APPROVER, OPERATOR = frozenset({Role.APPROVER, Role.OPERATOR}), frozenset({Role.APPROVER}), frozenset({Role.OPERATOR})
WAITS: Mapping[str, Mapping[str, frozenset[Role]]] = {
    "personalisation_request": {"submitted": BOTH, "verified": APPROVER, "approved": OPERATOR, "personalising": OPERATOR},
    "activation_request": {"submitted": BOTH, "verified": APPROVER},
    "destruction": {"proposed": APPROVER, "executed": OPERATOR},
    "manifest": {"proposed": APPROVER},
    "reference_change": {"proposed": APPROVER},
    "model_case": {"applied": OPERATOR, "approved_to_test": OPERATOR, "tested": APPROVER, "certified": OPERATOR},
    "activation": {"waiting": OPERATOR},
}
"""For whom an object of a kind waits in which state; `verified`: submitted, and an operator has looked at it. What a page offers; the act
itself asks for the tasks of the person (`service.Duties`)."""


@dataclass(frozen=True)
class Desk:
    """An object, who has it, whether it waits for the actor too, and the colleagues to whom the actor may give it."""

    kind: str
    key: UUID
    holder: Holder | None
    mine: bool
    colleagues: list[Colleague] = field(default_factory=list)


def panel_of(ctx: Context, kind: str, key: UUID, state: str) -> Desk | None:
    """Return who has an object in a state, in one statement; None where nothing waits in it. It names no colleagues."""
    roles = WAITS[kind].get(state)
    if not roles:
        return None
    return Desk(kind, key, find_holder(ctx, key), mine=bool(roles & ctx.actor.roles))


def desk_of(ctx: Context, kind: str, key: UUID) -> Desk:
    """Return who has an object, and what the actor may do about it. Raise NotFound if there is no such object."""
    if not duties().is_there(ctx, kind, key):
        raise NotFound()
    holder, roles = find_holder(ctx, key), duties().roles(ctx, kind, key)
    if not roles:
        return Desk(kind, key, holder, mine=False)
    besides = {ctx.actor.user_id, holder.user_id if holder else None} - {None}
    colleagues = list_colleagues(ctx, duties().wanted(ctx, kind, key), [one for one in besides if one])
    return Desk(kind, key, holder, mine=True, colleagues=colleagues)
