"""Which tasks of the home page are work that can be divided among the directorate's people, and who has such a task on an object."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, select, union_all

from sifilma.activation.models import Activation, ActivationRequest, Manifest, Revocation
from sifilma.destruction.models import Destruction
from sifilma.identity.models import User
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Context
from sifilma.kernel.statements import built_once
from sifilma.oversight.models import ModelCase, ReferenceChange
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.reports import tasks_waiting
from sifilma.reports.reminders import actor_of
from sifilma.reports.way import queries as life
from sifilma.sign_in.authority import is_authentic

WORK: Mapping[str, tuple[str, Role]] = {
    "verify_personalisation": ("personalisation_request", Role.OPERATOR),
    "approve_personalisation": ("personalisation_request", Role.APPROVER),
    "record_results": ("personalisation_request", Role.OPERATOR),
    "verify_activation": ("activation_request", Role.OPERATOR),
    "approve_activation": ("activation_request", Role.APPROVER),
    "approve_destruction": ("destruction", Role.APPROVER),
    "verify_destruction": ("destruction", Role.OPERATOR),
    "decide_revocation": ("manifest", Role.APPROVER),
    "decide_reference": ("reference_change", Role.APPROVER),
    "admit_model": ("model_case", Role.OPERATOR),
    "record_certificate": ("model_case", Role.OPERATOR),
    "certify_model": ("model_case", Role.APPROVER),
    "report_certificate": ("model_case", Role.OPERATOR),
    "review_place": ("activation", Role.OPERATOR),
}
"""Each task that can be taken: the kind of its object, and the role in which it is done. The key of its line is the object's id."""
OBJECTS: Mapping[str, type[Any]] = {
    "personalisation_request": PersonalisationRequest,
    "activation_request": ActivationRequest,
    "destruction": Destruction,
    "manifest": Manifest,
    "reference_change": ReferenceChange,
    "model_case": ModelCase,
    "activation": Activation,
}
"""The model of each kind of object."""
EVERYBODY = frozenset({Role.APPROVER, Role.OPERATOR})


@dataclass(frozen=True)
class HomeDuties:
    """`assignment.service.Duties` by the tasks of the home page: what waits for somebody is what they may take."""

    def hold(self, ctx: Context, kind: str, object_id: UUID) -> bool:
        """Lock the rows that a decision changes, so that none comes between a look at the tasks and the assignment."""
        model = OBJECTS[kind]
        if ctx.session.scalar(select(model.id).where(model.id == object_id).with_for_update()) is None:
            return False
        if kind == "manifest":
            of = select(Revocation.id).where(Revocation.manifest_id == object_id).order_by(Revocation.id)
            list(ctx.session.scalars(of.with_for_update()))
        return True

    def is_there(self, ctx: Context, kind: str, object_id: UUID) -> bool:
        """Return whether there is such an object."""
        model = OBJECTS[kind]
        return ctx.session.scalar(select(model.id).where(model.id == object_id)) is not None

    def wanted(self, ctx: Context, kind: str, object_id: UUID) -> list[Role]:
        """Return the roles in which somebody has a task on the object now, whoever it is."""
        anybody = replace(ctx.actor, roles=EVERYBODY, person_id=UUID(int=0), user_id=UUID(int=0))
        return self.roles(replace(ctx, actor=anybody), kind, object_id)

    def roles(self, ctx: Context, kind: str, object_id: UUID) -> list[Role]:
        """Return the roles in which the actor has a task on the object now, in one statement at most."""
        names = [name for name, (of, _role) in WORK.items() if of == kind]
        have = {row.task for row in built_once.rows(ctx, tasks_query, frozenset(names), {"key": object_id})}
        return list(dict.fromkeys(WORK[name][1] for name in names if name in have))

    def roles_of(self, ctx: Context, user: User, kind: str, object_id: UUID) -> list[Role]:
        """Return the same for another account; nothing for one whose row the service did not write."""
        if not is_authentic(ctx, User, user):
            return []
        return self.roles(replace(ctx, actor=actor_of(user, ctx.now)), kind, object_id)


def tasks_query(ctx: Context, names: Collection[str]) -> Select[Any] | None:
    """Return the query of the actor's tasks of these names on the object `key`."""
    found = life.of_tasks(tasks_waiting.waiting(ctx), names)
    if not found:
        return None
    every = union_all(*found).subquery()
    return select(every.c.task).where(every.c.key == bindparam("key", type_=every.c.key.type))
