"""What is read of successions and of organisations without a living head, and to whom word about an object goes once it has passed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, and_, case, exists, false, func, literal, or_, select, union, union_all
from sqlalchemy.orm import Session, aliased

from sifilma.access_review.models import DormantMark
from sifilma.accounts.models import UserChange
from sifilma.activation.models import ActivationRequest
from sifilma.activation.models import RequestState as Activation
from sifilma.approvals.models import ProposalState
from sifilma.conversation.models import ConversationMessage
from sifilma.destruction.models import Destruction, DestructionState
from sifilma.handover.models import Handover, HandoverState
from sifilma.identity.models import AccountState, Organisation, Person, User, UserRole, counts, holds
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.jobs.models import ENDED, Job
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.paging import Listing
from sifilma.personalisation.models import PersonalisationRequest
from sifilma.personalisation.models import PersonalisationState as Personalisation
from sifilma.succession.models import HeadSuccession, PassedWork

CHOICES = 20


@dataclass(frozen=True)
class Kind:
    """A kind of object: the operation that shows it, its number, the states in which it is open, and the account that answers for it."""

    operation: Operation
    model: type[Any]
    title: Any
    open: tuple[str, ...]
    owner: Any


OPEN = {
    "personalisation_request": Kind(
        Operation.PERSONALISATION_VIEW,
        PersonalisationRequest,
        PersonalisationRequest.letter_number,
        (
            Personalisation.DRAFT,
            Personalisation.SUBMITTED,
            Personalisation.RETURNED,
            Personalisation.APPROVED,
            Personalisation.PERSONALISING,
        ),
        PersonalisationRequest.submitted_by_user,
    ),
    "activation_request": Kind(
        Operation.ACTIVATION_VIEW,
        ActivationRequest,
        ActivationRequest.letter_number,
        (Activation.DRAFT, Activation.SUBMITTED, Activation.RETURNED, Activation.APPROVED),
        ActivationRequest.submitted_by_user,
    ),
    "handover": Kind(Operation.HANDOVER_VIEW, Handover, Handover.number, (HandoverState.ISSUED,), Handover.issued_by),
    "destruction": Kind(
        Operation.DESTRUCTION_VIEW,
        Destruction,
        func.coalesce(Destruction.number, literal("", String)),
        (DestructionState.PROPOSED, DestructionState.APPROVED, DestructionState.EXECUTED),
        Destruction.submitted_by_user,
    ),
}
"""The kinds of `succession.models.KINDS`. What is decided or done is nobody's open work."""


@dataclass(frozen=True)
class Work:
    """One open object: its kind, id, number (empty if it has none yet) and state, and the account whose work it was first."""

    kind: str
    key: UUID
    title: str
    state: str
    user_id: UUID


def successions_query(ctx: Context) -> Select[HeadSuccession]:
    """Return a query of the successions the actor may see: a head those of the own organisation, a user administrator all."""
    return scoped(select(HeadSuccession), ctx.actor, Operation.USERS_SEE, HeadSuccession.organisation_id)


def list_successions(ctx: Context, state: str = "", organisation: str = "") -> Listing[HeadSuccession]:
    """Return the successions the actor may see, by the state of the proposal and a part of the organisation's name."""
    query = successions_query(ctx)
    if state:
        query = query.where(HeadSuccession.id.in_(select(UserChange.id).where(UserChange.state == state)))
    if organisation:
        named = select(Organisation.id).where(Organisation.name.icontains(organisation, autoescape=True))
        query = query.where(HeadSuccession.organisation_id.in_(named))
    return query, HeadSuccession.id


def get_succession(ctx: Context, succession_id: UUID) -> HeadSuccession:
    """Return a succession. Raise NotFound if it is not in the scope of the actor."""
    found = ctx.session.scalars(successions_query(ctx).where(HeadSuccession.id == succession_id)).first()
    if found is None:
        raise NotFound()
    return found


def find_waiting(ctx: Context, organisation_id: UUID) -> HeadSuccession | None:
    """Return the succession of an organisation that waits for a second person, if there is one."""
    waits = select(UserChange.id).where(UserChange.state == ProposalState.PROPOSED)
    query = select(HeadSuccession).where(HeadSuccession.organisation_id == organisation_id, HeadSuccession.id.in_(waits))
    return ctx.session.scalars(query).first()


def find_organisation(ctx: Context, organisation_id: str) -> Organisation | None:
    """Return the organisation of an id that was typed, other than the directorate, or None."""
    try:
        found = ctx.session.get(Organisation, UUID(organisation_id))
    except ValueError:
        return None
    return None if found is None or found.kind == OrganisationKind.DIRECTORATE else found


def organisations_named(ctx: Context, text: str) -> list[Organisation]:
    """Return up to 20 organisations that have heads, by a part of the name."""
    query = select(Organisation).where(Organisation.kind != OrganisationKind.DIRECTORATE)
    if text:
        query = query.where(Organisation.name.icontains(text, autoescape=True))
    return list(ctx.session.scalars(query.order_by(Organisation.name).limit(CHOICES)))


def heads_query(organisation_id: UUID) -> Select[User]:
    """Return a query of the accounts that are or were heads of an organisation."""
    was = exists().where(UserRole.user_id == User.id, UserRole.role == Role.HEAD)
    return select(User).where(User.organisation_id == organisation_id, was).order_by(User.id)


def candidates(ctx: Context, organisation_id: UUID) -> list[User]:
    """Return the accounts of an organisation that could follow as head: all that are not disabled."""
    query = select(User).where(User.organisation_id == organisation_id, User.state != AccountState.DISABLED)
    return list(ctx.session.scalars(query.order_by(User.username)))


def has_living_head(ctx: Context, organisation_id: UUID) -> bool:
    """Return whether somebody who can sign in is head of an organisation at this moment."""
    query = select(User.id).where(
        User.organisation_id == organisation_id, User.state == AccountState.ACTIVE, holds(User, Role.HEAD, ctx.now)
    )
    return ctx.session.scalar(query.limit(1)) is not None


def administers(ctx: Context, person_id: UUID) -> bool:
    """Return whether a person is a user administrator at this moment."""
    query = select(User.id).where(User.person_id == person_id, User.state == AccountState.ACTIVE, holds(User, Role.USER_ADMIN, ctx.now))
    return ctx.session.scalar(query.limit(1)) is not None


# --- open work -------------------------------------------------------------------------------------------------------


def open_work(ctx: Context, user_id: UUID) -> list[Work]:
    """Return the open objects that an account submitted, issued, drafted or wrote about, and what had passed on to it and still is open."""
    # What passed twice counts once.
    found = union(*(one for kind in OPEN for one in (_own(kind, user_id), _inherited(kind, user_id)))).subquery()
    query = select(found.c.kind, found.c.key, found.c.title, found.c.state, found.c.user_id)
    return [Work(*row) for row in ctx.session.execute(query.order_by(found.c.kind, found.c.key, found.c.user_id))]


def passed_work(ctx: Context, succession_id: UUID) -> list[Work]:
    """Return the objects that passed on with a succession, in the states that they are in now."""
    found = union_all(*(_passed(kind, succession_id) for kind in OPEN)).subquery()
    query = select(found.c.kind, found.c.key, found.c.title, found.c.state, found.c.user_id)
    return [Work(*row) for row in ctx.session.execute(query.order_by(found.c.kind, found.c.key, found.c.user_id))]


def unfinished_jobs(ctx: Context, user_id: UUID) -> int:
    """Return how many files of an account the worker has not finished: they end with it, if it is disabled."""
    query = select(func.count()).select_from(Job).where(Job.user_id == user_id, Job.state.not_in(ENDED))
    return ctx.session.scalar(query) or 0


def _columns(kind: str, owner: Any) -> Sequence[Any]:
    one = OPEN[kind]
    return (
        literal(kind, String).label("kind"),
        one.model.id.label("key"),
        one.title.label("title"),
        one.model.state.label("state"),
        owner.label("user_id"),
    )


def _own(kind: str, user_id: UUID) -> Select[Any]:
    one = OPEN[kind]
    wrote = exists().where(
        ConversationMessage.object_kind == kind, ConversationMessage.object_id == one.model.id, ConversationMessage.user_id == user_id
    )
    # A draft was submitted by nobody: it is the work of whoever wrote it.
    drafted = and_(one.owner.is_(None), one.model.changed_by == user_id)
    which = or_(one.owner == user_id, drafted, wrote)
    return select(*_columns(kind, literal(user_id))).where(one.model.state.in_(one.open), which)


_later, _other = aliased(PassedWork), aliased(HeadSuccession)


def _inherited(kind: str, user_id: UUID) -> Select[Any]:
    one, later, other = OPEN[kind], _later, _other
    passed_again = exists().where(
        later.object_kind == kind,
        later.object_id == PassedWork.object_id,
        later.user_id == PassedWork.user_id,
        other.id == later.succession_id,
        other.outgoing_id == user_id,
    )
    return (
        select(*_columns(kind, PassedWork.user_id))
        .join(PassedWork, and_(PassedWork.object_kind == kind, PassedWork.object_id == one.model.id))
        .join(HeadSuccession, HeadSuccession.id == PassedWork.succession_id)
        .where(HeadSuccession.successor_id == user_id, PassedWork.user_id != user_id, one.model.state.in_(one.open), ~passed_again)
    )


def _passed(kind: str, succession_id: UUID) -> Select[Any]:
    one = OPEN[kind]
    found = select(*_columns(kind, PassedWork.user_id)).join(
        PassedWork, and_(PassedWork.object_kind == kind, PassedWork.object_id == one.model.id)
    )
    return found.where(PassedWork.succession_id == succession_id)


def heirs(session: Session, kind: str, object_id: UUID) -> dict[UUID, UUID]:
    """Return the accounts to which word about an object goes instead of others, since their work on it has passed on."""
    query = (
        select(PassedWork.user_id, HeadSuccession.successor_id)
        .join(HeadSuccession, HeadSuccession.id == PassedWork.succession_id)
        .join(UserChange, UserChange.id == HeadSuccession.id)
        .where(PassedWork.object_kind == kind, PassedWork.object_id == object_id)
        .order_by(UserChange.decided_at)  # the newest counts
    )
    return dict(session.execute(query).all())


def waits_for_outgoing(ctx: Context) -> ColumnElement[bool]:
    """Return the condition of proposals (UserChange) that the actor, who is to be followed, can agree to: another person proposed them."""
    mine = exists().where(HeadSuccession.id == UserChange.id, HeadSuccession.outgoing_id == ctx.actor.user_id)
    return and_(UserChange.proposed_by_person != ctx.actor.person_id, mine)


# --- organisations without a living head -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Vacancy:
    """An organisation without a living head: why (a name of REASONS), since when, who was head last, and whether a succession waits."""

    organisation: Organisation
    reason: str
    since: datetime
    last_head: str
    is_proposed: bool


def _headed(office: Any, *which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that an account of an organisation (a class or alias) has, or had, the role of head and meets conditions."""
    return exists().where(User.organisation_id == office.id, UserRole.user_id == User.id, UserRole.role == Role.HEAD, *which)


def _marked() -> ColumnElement[bool]:
    return exists().where(DormantMark.user_id == User.id)


def is_headless(office: Any, now: datetime) -> ColumnElement[bool]:
    """Return the condition that nobody who signs in is head of an organisation, which is not the directorate.

    An account that is marked as unused counts as nobody: whoever it was is gone, or cannot sign in.
    """
    living = _headed(office, counts(now), User.state == AccountState.ACTIVE, ~_marked())
    return and_(office.kind != OrganisationKind.DIRECTORATE, ~living)


def _unused(now: datetime) -> ColumnElement[bool]:
    return _headed(Organisation, counts(now), User.state == AccountState.ACTIVE, _marked())


def _invited(now: datetime) -> ColumnElement[bool]:
    return and_(_headed(Organisation, counts(now), User.state == AccountState.INVITED), ~_unused(now))


def _never(_now: datetime) -> ColumnElement[bool]:
    return ~_headed(Organisation)


def _ended(now: datetime) -> ColumnElement[bool]:
    return and_(_headed(Organisation), ~_unused(now), ~_invited(now))


REASONS = {"unused": _unused, "invited": _invited, "ended": _ended, "never": _never}
"""Why an organisation has no living head: exactly one holds of each that has none."""


def list_vacancies(ctx: Context, name: str = "", kind: str = "", reason: str = "") -> Listing[Organisation]:
    """Return the organisations without a living head that the actor may know of, by a part of the name, a kind, and why."""
    query = scoped(select(Organisation), ctx.actor, Operation.HEADS_SEE, Organisation.id).where(is_headless(Organisation, ctx.now))
    if name:
        query = query.where(Organisation.name.icontains(name, autoescape=True))
    if kind:
        query = query.where(Organisation.kind == kind)
    if reason:
        query = query.where(REASONS[reason](ctx.now) if reason in REASONS else false())
    return query, Organisation.id


def headless_since(office: Any) -> Any:
    """Return the column of the moment since which an organisation without a living head has none."""
    ended = case(
        (User.state == AccountState.DISABLED, User.disabled_at),
        (User.state == AccountState.INVITED, User.created_at),
        else_=func.coalesce(UserRole.until, UserRole.ends_at, DormantMark.marked_at),
    )
    newest = (
        select(func.max(ended))
        .select_from(User)
        .join(UserRole, and_(UserRole.user_id == User.id, UserRole.role == Role.HEAD))
        .outerjoin(DormantMark, DormantMark.user_id == User.id)
        .where(User.organisation_id == office.id)
        .correlate(office)
        .scalar_subquery()
    )
    return func.coalesce(newest, office.created_at)


def vacancies(ctx: Context, organisations: Sequence[Organisation]) -> list[Vacancy]:
    """Return what is known of organisations without a living head, in one query for each column."""
    keys = [one.id for one in organisations]
    why = case(*((condition(ctx.now), literal(name, String)) for name, condition in REASONS.items()), else_=literal("", String))
    known = {
        row[0]: (row[1], row[2])
        for row in ctx.session.execute(select(Organisation.id, why, headless_since(Organisation)).where(Organisation.id.in_(keys)))
    }
    heads = (
        select(User.organisation_id, Person.name)
        .join(UserRole, and_(UserRole.user_id == User.id, UserRole.role == Role.HEAD))
        .join(Person, Person.id == User.person_id)
        .where(User.organisation_id.in_(keys))
        .order_by(UserRole.since, UserRole.id)  # the newest counts
    )
    last = dict(ctx.session.execute(heads).all())
    waits = select(HeadSuccession.organisation_id).join(UserChange, UserChange.id == HeadSuccession.id)
    proposed = set(ctx.session.scalars(waits.where(UserChange.state == ProposalState.PROPOSED, HeadSuccession.organisation_id.in_(keys))))
    return [Vacancy(one, *known[one.id], last.get(one.id, ""), one.id in proposed) for one in organisations]
