"""Submit, verify, return, approve, reject and cancel, for every kind of object that is approved (docs/domain.md, rules 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select

from sifilma.approvals import four_eyes
from sifilma.approvals.four_eyes import Objection, content_digest
from sifilma.approvals.models import Approval, Requested
from sifilma.assignment import service as assignment
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import Person
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel import field_notes
from sifilma.kernel.actor import Role
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Forbidden, Invalid, SifilmaError
from sifilma.kernel.lifecycle import LifeCycle
from sifilma.kernel.text import say

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Submissions:
    """One kind of object that is submitted and approved.

    `prefix` is the first part of its audit actions; `owner` is the name of the attribute that holds the owning organisation's id.
    The methods take an object that the caller found in the actor's scope; `Requests` finds it by its id.
    """

    cycle: LifeCycle
    model: Any  # a mapped class with Submitted and Stateful
    approval: type[Approval]
    prefix: str
    owner: str
    waiting: str = "submitted"
    approved: str = "approved"

    def act(self, ctx: Context, obj: Any, verb: str, note: str = "", **facts: Any) -> Act:
        """Record the action `prefix.verb` on the object and return the act."""
        owner: UUID = getattr(obj, self.owner)
        return record(ctx, Action(f"{self.prefix}.{verb}"), self.cycle.kind, obj.id, organisation_id=owner, note=note, **facts)

    def move(self, ctx: Context, obj: Any, target: str, verb: str, note: str = "", **facts: Any) -> Act:
        """Record the act, take the step and return the act. Raise Conflict if the life cycle does not have the step."""
        self.cycle.require(obj, target)
        act = self.act(ctx, obj, verb, note, **facts)
        self.cycle.move(ctx.session, obj, target, act, note)
        ctx.session.flush()
        return act

    def submit(self, ctx: Context, obj: Any, content: dict[str, Any], note: str = "") -> None:
        """Submit the object: store the digest of its content, which then cannot change unless the object is returned.

        Raise Conflict in a state that cannot be submitted, and Forbidden if the actor has approved the same content before.
        """
        self.cycle.require(obj, self.waiting)
        seal(ctx, obj, content)
        if any(one.digest == obj.digest and one.person_id == ctx.actor.person_id for one in obj.approvals):
            raise Forbidden("Nobody submits what they have approved.")
        self.move(ctx, obj, self.waiting, "submit", note, digest=obj.digest)

    def send_back(self, ctx: Context, obj: Any, note: str, fields: Mapping[str, str]) -> None:
        """Return the object for correction, with a note on the whole, notes on fields, or both. The notes on fields belong to the step.

        Raise Invalid without any note, and Conflict if the object cannot be returned.
        """
        if not fields:
            require_note(note)
        facts = {"fields": dict(fields)} if fields else {}
        act = self.move(ctx, obj, field_notes.RETURNED, "return", note, **facts)
        field_notes.keep(ctx.session, act, fields)

    def verify(self, ctx: Context, obj: Any, note: str = "") -> None:
        """Store that an operator has looked at the object; an approval does not need it. Raise Conflict unless it waits for a decision."""
        self.require_waiting(obj)
        obj.verified_at = ctx.now
        self.act(ctx, obj, "verify", note)
        assignment.release(ctx.session, obj.id, role=Role.OPERATOR)

    def approve(self, ctx: Context, obj: Any, digest: str, note: str = "") -> Act:
        """Store the actor's approval of the content with this digest. The last approval needed makes the object `approved`.

        Return the act. Raise Conflict if the object does not wait, has another digest, or has the actor's approval already, and Forbidden
        (`four-eyes`) if the actor submitted it.
        """
        hold(ctx.session, obj)  # otherwise two concurrent approvers would each see one approval
        self.require_approvable(ctx, obj, digest)
        act = self.act(ctx, obj, "approve", note, digest=digest)
        make: Any = self.approval  # a mapped class: its constructor takes the columns
        given = make(person_id=ctx.actor.person_id, user_id=ctx.actor.user_id, digest=digest, note=note, at=ctx.now, act_id=act.id)
        setattr(given, f"{self.cycle.table}_id", obj.id)
        ctx.session.add(given)
        ctx.session.flush()
        ctx.session.refresh(obj, ["approvals"])
        if self.missing(obj) <= 0:
            self.cycle.move(ctx.session, obj, self.approved, act, note)
            ctx.session.flush()
        else:  # another approver does the rest
            assignment.release(ctx.session, obj.id, user_id=ctx.actor.user_id)
        return act

    def require_waiting(self, obj: Any) -> None:
        """Raise Conflict unless the object waits for a decision."""
        if obj.state != self.waiting:
            raise self._refusal(obj, Objection.NOT_WAITING)

    def require_approvable(self, ctx: Context, obj: Any, digest: str) -> None:
        """Raise the refusal for the objection that `four_eyes.objection` finds to this approval. `digest` is what the actor saw."""
        found = four_eyes.objection(obj, self.waiting, ctx.actor.person_id, digest)
        if found is not None:
            raise self._refusal(obj, found)

    def objection(self, ctx: Context, obj: Any) -> Objection | None:
        """Return why the actor cannot approve the object as it stands, or None if they can."""
        return four_eyes.objection(obj, self.waiting, ctx.actor.person_id, obj.digest)

    def objection_told(self, ctx: Context, obj: Any) -> str:
        """Return the objection in words, or an empty text if the actor can approve."""
        found = self.objection(ctx, obj)
        return "" if found is None else self._refusal(obj, found).detail

    def approvable(self, ctx: Context) -> ColumnElement[bool]:
        """Return a condition in SQL: the objects the actor can approve as they stand."""
        return four_eyes.approvable(self.model, self.approval, self.waiting, ctx.actor.person_id)

    def awaits_another(self, ctx: Context) -> ColumnElement[bool]:
        """Return a condition in SQL: the objects the actor has approved as they stand, and that still need another approver."""
        return and_(self.model.state == self.waiting, four_eyes.approved_by(self.model, self.approval, ctx.actor.person_id))

    def verifiable(self) -> ColumnElement[bool]:
        """Return a condition in SQL: the objects that wait for a decision and are not verified."""
        return and_(self.model.state == self.waiting, self.model.verified_at.is_(None))

    def _refusal(self, obj: Any, found: Objection) -> SifilmaError:
        if found is Objection.NOT_WAITING:
            told = say("A %(thing)s that is %(state)s is not waiting for a decision.", thing=self.cycle.kind, state=str(obj.state))
            return Conflict(told, state=str(obj.state))
        if found is Objection.OTHER_CONTENT:
            return not_what_was_seen()
        if found is Objection.SUBMITTER:
            return Forbidden("Whoever submitted never approves.", type="four-eyes")
        return Conflict("You have approved this already: another approver is needed.", type="four-eyes")

    def missing(self, obj: Any) -> int:
        """Return how many approvals of the present digest are still needed (0 or less: none). The submitter's own does not count."""
        given = sum(1 for one in obj.approvals if one.digest == obj.digest and one.person_id != obj.submitted_by_person)
        return int(obj.required_approvals) - given


R = TypeVar("R", bound=Requested)


def _nothing_follows(_ctx: Context, _request: Any, _act: Act) -> None:
    return None


def _nothing_lacks(_ctx: Context, _request: Any) -> None:
    return None


@dataclass(frozen=True)
class Operations:
    """The operations of the permission table for one kind of request."""

    view: Operation
    verify: Operation
    send_back: Operation
    approve: Operation


@dataclass(frozen=True)
class Requests(Generic[R]):
    """Submit, verify, return, approve, reject and cancel requests of one kind by id. The package of the kind supplies what differs.

    `get` returns a request in the actor's scope for an operation, or raises NotFound. `content` returns what is submitted and approved.
    `require_right` raises if the organisation may not get an approval (docs/domain.md, rule 8). `cancelled` carries out what follows from
    a cancellation. `require_whole` raises if a part of a request is still to come before it can be submitted. Every method raises NotFound
    outside the actor's scope, and what the method of Submissions raises.
    """

    way: Submissions
    operations: Operations
    get: Callable[[Context, UUID, Operation], R]
    content: Callable[[Context, R], dict[str, Any]]
    require_right: Callable[[Context, R], None]
    cancelled: Callable[[Context, R, Act], None] = _nothing_follows
    require_whole: Callable[[Context, R], None] = _nothing_lacks

    def get_own(self, ctx: Context, request_id: UUID) -> R:
        """Return a request that the actor's organisation made.

        Raise Forbidden (`not-requester`) for others who may see it, such as a buyer or a province.
        """
        found = self.get(ctx, request_id, self.operations.view)
        if getattr(found, self.way.owner) != ctx.actor.organisation_id:
            raise Forbidden("Only the organisation that made a request changes it.", type="not-requester")
        return found

    def submit(self, ctx: Context, request_id: UUID, note: str = "") -> R:
        """Submit a request of the actor's organisation. It then cannot change unless it is returned."""
        request = self.get_own(ctx, request_id)
        self.require_whole(ctx, request)
        self.way.submit(ctx, request, self.content(ctx, request), note)
        return request

    def verify(self, ctx: Context, request_id: UUID, note: str = "") -> R:
        """Store that an operator has looked at the request; an approval does not need it."""
        request = self.get(ctx, request_id, self.operations.verify)
        self.way.verify(ctx, request, note)
        return request

    def send_back(self, ctx: Context, request_id: UUID, note: str, fields: Mapping[str, str] = NOTHING) -> R:
        """Return the request for correction, with a note on the whole, notes on fields, or both."""
        request = self.get(ctx, request_id, self.operations.send_back)
        self.way.send_back(ctx, request, note, fields)
        return request

    def approve(self, ctx: Context, request_id: UUID, digest: str, note: str, then: Callable[[R, Act], None]) -> R:
        """Store the actor's approval of this digest. After the last one needed call `then`, in the same transaction.

        Raise ClockNotTrusted: an approval counts on its day, and what follows from it is dated for good.
        """
        ctx.require_trusted_clock()
        request = self.get(ctx, request_id, self.operations.approve)
        self.require_right(ctx, request)
        act = self.way.approve(ctx, request, digest, note)
        if request.state == self.way.approved:
            then(request, act)
        return request

    def reject(self, ctx: Context, request_id: UUID, note: str) -> R:
        """Reject the request finally. Raise Invalid without a note."""
        request = self.get(ctx, request_id, self.operations.approve)
        self.way.move(ctx, request, "rejected", "reject", require_note(note))
        return request

    def cancel(self, ctx: Context, request_id: UUID, note: str = "") -> R:
        """Cancel a request of the actor's organisation."""
        request = self.get_own(ctx, request_id)
        act = self.way.move(ctx, request, "cancelled", "cancel", note)
        self.cancelled(ctx, request, act)
        return request


@dataclass(frozen=True)
class Given:
    """An approval of the present digest. `who` is the name of the approver."""

    who: str
    at: datetime
    note: str


def given(ctx: Context, obj: Any) -> list[Given]:
    """Return the approvals of the present digest with the names of the approvers, in one query for all names."""
    now = [approval for approval in obj.approvals if approval.digest == obj.digest]
    if not now:
        return []
    query = select(Person.id, Person.name).where(Person.id.in_([approval.person_id for approval in now]))
    names: dict[UUID, str] = dict(ctx.session.execute(query).all())
    return [Given(names[approval.person_id], approval.at, approval.note) for approval in now]


def offered(ctx: Context, requests: Requests[Any], request: Requested) -> frozenset[str]:
    """Return what the actor may decide about a request that waits: some of `approve`, `verify`, `return`, `reject`."""
    way, operations = requests.way, requests.operations
    if request.state != way.waiting:
        return frozenset()
    objection, approver = way.objection(ctx, request), bool(grants(ctx.actor, operations.approve))
    answers = {
        "approve": approver and objection is None,
        "reject": approver and objection in (None, Objection.APPROVED),  # who has approved may still find a fault
        "verify": bool(grants(ctx.actor, operations.verify)) and request.verified_at is None,
        "return": bool(grants(ctx.actor, operations.send_back)),
    }
    return frozenset(name for name, answer in answers.items() if answer)


def seal(ctx: Context, obj: Any, content: dict[str, Any]) -> None:
    """Store the digest of the content and who submits it. A former verification no longer counts."""
    obj.digest = content_digest(content)
    obj.submitted_by_person, obj.submitted_by_user = ctx.actor.person_id, ctx.actor.user_id
    obj.submitted_at, obj.verified_at = ctx.now, None


def not_what_was_seen() -> Conflict:
    """Return the refusal for a decision whose digest is not that of the present content."""
    return Conflict("What you saw is not what is there now: look again before approving.", type="digest-mismatch")


def require_note(note: str) -> str:
    """Return the note. Raise Invalid if it has fewer than three characters: a decision against somebody must give a reason."""
    if len(note.strip()) < 3:
        raise Invalid.field("note", "Say in a few words why.")
    return note
