"""The way of everything that is submitted and approved: submit, verify, return, approve, reject, cancel (DOMAIN.md, rules 1 and 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import select

from sifilma.approvals.four_eyes import Approval, content_digest, require_seen
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import Person
from sifilma.kernel import field_notes
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Forbidden, Invalid, SifilmaError
from sifilma.kernel.lifecycle import LifeCycle
from sifilma.kernel.text import say

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Submissions:
    """One kind of object on this way. `prefix` begins its actions, `owner` names its attribute of the owning organisation."""

    cycle: LifeCycle
    approval: type[Approval]
    prefix: str
    owner: str
    waiting: str = "submitted"
    approved: str = "approved"

    def act(self, ctx: Context, obj: Any, verb: str, note: str = "", **facts: Any) -> Act:
        """Record `prefix.verb` on the object."""
        owner: UUID = getattr(obj, self.owner)
        return record(ctx, Action(f"{self.prefix}.{verb}"), self.cycle.kind, obj.id, organisation_id=owner, note=note, **facts)

    def move(self, ctx: Context, obj: Any, target: str, verb: str, note: str = "", **facts: Any) -> Act:
        """Record the act and take the step; Conflict if the table does not have it."""
        self.cycle.require(obj, target)
        act = self.act(ctx, obj, verb, note, **facts)
        self.cycle.move(ctx.session, obj, target, act, note)
        ctx.session.flush()
        return act

    def submit(self, ctx: Context, obj: Any, content: dict[str, Any], note: str = "") -> None:
        """Bind the content by its digest: from here on nothing of it changes, unless it is returned."""
        self.cycle.require(obj, self.waiting)
        seal(ctx, obj, content)
        if any(one.digest == obj.digest and one.person_id == ctx.actor.person_id for one in obj.approvals):
            raise Forbidden("Nobody submits what they have approved.")
        self.move(ctx, obj, self.waiting, "submit", note, digest=obj.digest)

    def send_back(self, ctx: Context, obj: Any, note: str, fields: Mapping[str, str]) -> None:
        """Return it for repair; the notes on fields belong to the step. One note is needed, on the whole or on a field."""
        if not fields:
            require_note(note)
        facts = {"fields": dict(fields)} if fields else {}
        act = self.move(ctx, obj, field_notes.RETURNED, "return", note, **facts)
        field_notes.keep(ctx.session, act, fields)

    def verify(self, ctx: Context, obj: Any, note: str = "") -> None:
        """The operator has looked at it; the optional step before approval."""
        self.require_waiting(obj)
        obj.verified_at = ctx.now
        self.act(ctx, obj, "verify", note)

    def approve(self, ctx: Context, obj: Any, digest: str, note: str = "") -> Act:
        """One approver's yes to exactly this digest; with the last one needed the object is approved."""
        hold(ctx.session, obj)  # two approvers at once would each see one approval
        self.require_approvable(ctx, obj, digest)
        act = self.act(ctx, obj, "approve", digest=digest)
        make: Any = self.approval  # a mapped class: its constructor takes the columns
        given = make(person_id=ctx.actor.person_id, user_id=ctx.actor.user_id, digest=digest, note=note, at=ctx.now, act_id=act.id)
        setattr(given, f"{self.cycle.table}_id", obj.id)
        ctx.session.add(given)
        ctx.session.flush()
        ctx.session.refresh(obj, ["approvals"])
        if self.missing(obj) <= 0:
            self.cycle.move(ctx.session, obj, self.approved, act, note)
            ctx.session.flush()
        return act

    def require_waiting(self, obj: Any) -> None:
        """Conflict unless a decision is awaited."""
        if obj.state != self.waiting:
            refusal = say("A %(thing)s that is %(state)s is not waiting for a decision.", thing=self.cycle.kind, state=str(obj.state))
            raise Conflict(refusal, state=str(obj.state))

    def require_approvable(self, ctx: Context, obj: Any, digest: str) -> None:
        """In the right state, exactly what was seen, by another person."""
        self.require_waiting(obj)
        require_seen(obj.digest, digest)
        require_other_person(ctx, obj.submitted_by_person, [a.person_id for a in obj.approvals if a.digest == digest])

    def objection(self, ctx: Context, obj: Any) -> str:
        """Why the actor cannot approve it as it stands now, in words; empty if they can."""
        try:
            self.require_approvable(ctx, obj, obj.digest or "")
        except SifilmaError as refused:
            return refused.detail
        return ""

    def missing(self, obj: Any) -> int:
        """How many approvals of the present digest are still needed."""
        given = sum(1 for one in obj.approvals if one.digest == obj.digest and one.person_id != obj.submitted_by_person)
        return int(obj.required_approvals) - given


@dataclass(frozen=True)
class Given:
    """An approval of what stands in an object now, by name."""

    who: str
    at: datetime
    note: str


def given(ctx: Context, obj: Any) -> list[Given]:
    """The approvals of the present digest, with who gave each, in one statement."""
    now = [approval for approval in obj.approvals if approval.digest == obj.digest]
    query = select(Person.id, Person.name).where(Person.id.in_([approval.person_id for approval in now]))
    names: dict[UUID, str] = dict(ctx.session.execute(query).all())
    return [Given(names[approval.person_id], approval.at, approval.note) for approval in now]


def seal(ctx: Context, obj: Any, content: dict[str, Any]) -> None:
    """Note who submits what, by its digest."""
    obj.digest = content_digest(content)
    obj.submitted_by_person, obj.submitted_by_user = ctx.actor.person_id, ctx.actor.user_id
    obj.submitted_at, obj.verified_at = ctx.now, None


def require_other_person(ctx: Context, submitter: UUID | None, approved: Sequence[UUID]) -> None:
    """Four eyes, as persons: not the submitter, and nobody twice."""
    if ctx.actor.person_id == submitter:
        raise Forbidden("Whoever submitted never approves.", type="four-eyes")
    if ctx.actor.person_id in approved:
        raise Conflict("You have approved this already: another approver is needed.", type="four-eyes")


def require_note(note: str) -> str:
    """A decision against somebody says why."""
    if len(note.strip()) < 3:
        raise Invalid.field("note", "Say in a few words why.")
    return note
