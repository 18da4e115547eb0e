"""End the assignment of an object by the step that did the work, and tell people what was given to them or taken from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from sifilma.activation.models import ACTIVATION_REQUEST, REVOCATION
from sifilma.assignment import service as assignment
from sifilma.assignment.service import Passed
from sifilma.destruction.models import DESTRUCTION
from sifilma.identity.models import User
from sifilma.kernel.context import Act, Context
from sifilma.kernel.lifecycle import LifeCycle
from sifilma.oversight.models import CASE, CHANGE
from sifilma.personalisation.models import PERSONALISATION, PersonalisationState
from sifilma.reports.decision_notices import tell, title_of
from sifilma.reports.duties.queries import OBJECTS, HomeDuties
from sifilma.resources import Resources

CYCLES: tuple[tuple[LifeCycle, str], ...] = (
    (PERSONALISATION, "id"),
    (ACTIVATION_REQUEST, "id"),
    (DESTRUCTION, "id"),
    (REVOCATION, "manifest_id"),
    (CHANGE, "id"),
    (CASE, "id"),
)
"""The life cycles whose steps end an assignment, and the attribute with the id of what is assigned."""
GOES_ON = frozenset({PersonalisationState.PERSONALISING})
"""States in which whoever had the work goes on with it: results come in parts."""


def register_hooks(resources: Callable[[], Resources]) -> None:
    """Attach the hooks. Attaching them twice has no effect. `resources` returns those of the application in which an act is done."""
    assignment.register_duties(HomeDuties())
    assignment.on_assigned(AssignmentNotice(resources))
    for cycle, name in CYCLES:
        for state in sorted({str(step.target) for step in cycle.transitions} - GOES_ON):
            cycle.on(state, Release(name))


@dataclass(frozen=True)
class Release:
    """The hook of a step after which the work on an object is another one. `name` is the attribute with the id of what is assigned."""

    name: str

    def __call__(self, session: Session, moved: Any, _act: Act) -> None:
        """End the assignment, if there is one."""
        assignment.release(session, getattr(moved, self.name))


@dataclass(frozen=True)
class AssignmentNotice:
    """The hook of an assignment: tell whoever has the work now, and whoever had it, unless they did it themselves."""

    resources: Callable[[], Resources]

    def __call__(self, ctx: Context, passed: Passed) -> None:
        """Ring the bell and write an e-mail, as the person set."""
        found = ctx.session.get(OBJECTS[passed.kind], passed.object_id)
        for user_id, what in ((passed.now, "assigned"), (passed.before, "passed_on")):
            if user_id in (None, ctx.actor.user_id):
                continue
            people = ctx.session.scalars(select(User).where(User.id == user_id))
            tell(self.resources(), ctx.session, people, f"{passed.kind}_{what}", title_of(found), passed.object_id, ctx.now)
