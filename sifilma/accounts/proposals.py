"""Acts of user administrators: invite an organisation's first head; propose a change of a central account, which another executes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from config.settings import Settings
from sifilma.accounts import consents, service
from sifilma.accounts.models import FACTOR, PERSON, SUCCESSION, USER_CHANGE, UserChange
from sifilma.accounts.service import check_capabilities, give_role
from sifilma.approvals.models import ProposalState
from sifilma.approvals.proposals import Proposals
from sifilma.audit.models import Action
from sifilma.audit.recorded import RecordedOnce
from sifilma.audit.service import record
from sifilma.documents.indonesian import zone_of
from sifilma.identity.models import TEMPORARY, AccountState, Organisation, User, holds, role_names, role_set
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say
from sifilma.sign_in.authority import record_change

LONGEST_DEPUTY = timedelta(days=366)
BY_DECREE = say("This is the head of an organisation: another one follows by decree (POST /head-successions).")
FIRST_ONLY = say("Only an organisation's first head is invited here; its head invites the others, and another head follows by decree.")
PROPOSALS = Proposals(USER_CHANGE, UserChange, say("Another user administrator must decide this."))


def propose_change(ctx: Context, user: User, change: str, roles: frozenset[Role] = frozenset(), reason: str = "") -> UserChange:
    """Propose a change of a central account: `disable`, `enable`, `roles` or `invite`. Return the proposal.

    Raise NotFound for an account of another organisation, Conflict (`head`) for its head's, Invalid for roles that central accounts cannot
    have, and Conflict if the change does not fit the state of the account, if capabilities exclude each other, or if a proposal for the
    account waits already.
    """
    if user.organisation.kind != OrganisationKind.DIRECTORATE:
        if Role.HEAD in user.roles_at(ctx.now):
            raise Conflict(BY_DECREE, type="head")
        raise NotFound()
    if change == "roles" and (not roles or not roles <= service.CENTRAL):
        raise Invalid.field("roles", say("Choose from: %(roles)s.", roles=", ".join(sorted(service.CENTRAL))))
    _require_possible(ctx, user, change, roles)
    return make_proposal(ctx, user, change, roles, reason)


def propose_deputy(ctx: Context, user: User, role: Role, last_day: date, basis: str) -> UserChange:
    """Propose to give a central account one more role, to the end of a day (Western Indonesian Time), while somebody is away.

    Raise NotFound for an account of another organisation, Invalid for a role that is not given for a time, a day that is over or too far
    off, and Conflict if the account is disabled, has the role, or as `propose_change` does.
    """
    if user.organisation.kind != OrganisationKind.DIRECTORATE:
        raise NotFound()
    if role not in TEMPORARY:
        raise Invalid.field("role", say("Choose from: %(roles)s.", roles=", ".join(sorted(TEMPORARY))))
    today = ctx.now.astimezone(zone_of(None)).date()
    if not today <= last_day <= today + LONGEST_DEPUTY:
        raise Invalid.field("until", say("Name a day from today on, at most %(days)s days ahead.", days=LONGEST_DEPUTY.days))
    _require_deputy(ctx, user, role)
    return make_proposal(ctx, user, "deputy", frozenset({role}), basis, ends_at=_end_of(last_day))


def _require_deputy(ctx: Context, user: User, role: Role) -> None:
    if user.state == AccountState.DISABLED:
        raise Conflict("This account is disabled already.")
    if role in user.roles_at(ctx.now):
        raise Conflict("This account has the role already.")
    check_capabilities(ctx, user.person, role_set(user.roles) | {role}, user.id)


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), zone_of(None))


def _require_possible(ctx: Context, user: User, change: str, roles: frozenset[Role]) -> None:
    """Refuse at once what could not be executed, so that it does not wait for a second person in vain. Execution checks again."""
    if change == "invite" and user.state != AccountState.INVITED:
        raise Conflict("This account is in use: its second factor must be reported as lost.")
    if change == "enable" and user.state != AccountState.DISABLED:
        raise Conflict("This account is not disabled.")
    if change == "enable" and user.person.pseudonym_act_id is not None:
        raise Conflict("This person has left for good: nothing tells any more who it was. Invite them anew.")
    if change == "disable" and user.state == AccountState.DISABLED:
        raise Conflict("This account is disabled already.")
    if change in ("roles", "enable"):
        check_capabilities(ctx, user.person, roles or role_set(user.roles), user.id)


def propose_person(ctx: Context, consent_id: UUID) -> UserChange:
    """Propose that an account becomes one of the known person it claims to be of, who has no account in use to consent from.

    Raise NotFound for a question that this person can answer, that is over, or about which a proposal waits already.
    """
    consent = consents.get_orphaned(ctx, consent_id)
    return make_proposal(ctx, ctx.session.get_one(User, consent.user_id), PERSON)


def make_proposal(
    ctx: Context,
    user: User,
    change: str,
    roles: frozenset[Role] = frozenset(),
    reason: str = "",
    rows: Sequence[RecordedOnce] = (),
    **more: Any,
) -> UserChange:
    """Store and return a proposal; `rows` are recorded with it, `more` are further columns.

    Raise Conflict (`proposed-already`) while another waits for the account.
    """
    if ctx.session.scalar(select(UserChange.id).where(UserChange.user_id == user.id, UserChange.state == ProposalState.PROPOSED)):
        raise Conflict("A proposal for this account waits already.", type="proposed-already")
    proposal = UserChange(**({"id": uuid7()} | more), user_id=user.id, change=change, roles=role_names(roles), reason=reason)
    # That the person is known is nothing that the inviter's organisation reads in its record.
    owner = user.organisation_id if change != PERSON else None
    act = record(ctx, Action.USER_CHANGE_PROPOSE, USER_CHANGE.kind, proposal.id, organisation_id=owner, rows=rows, change=change)
    PROPOSALS.propose(ctx, proposal, act, reason)
    return proposal


def decide_change(ctx: Context, settings: Settings, change_id: UUID, execute: bool) -> tuple[UserChange, str | None]:
    """Execute or reject a proposal. Return it and, if an invitation was executed, the secret of its link.

    Its proposer may reject it, that is, withdraw it. Raise NotFound for an unknown proposal, Conflict if it was decided already, reports a
    lost factor or is a succession, Forbidden (`four-eyes`) if its proposer executes it, and what the change itself raises.
    """
    proposal = ctx.session.get(UserChange, change_id)
    if proposal is None:
        raise NotFound()
    if proposal.change == FACTOR:
        raise Conflict("A second factor that was reported as lost is decided in its own way.", type="lost-factor")
    if proposal.change == SUCCESSION:
        raise Conflict("The succession of a head is decided in its own way.", type="succession")
    PROPOSALS.take(ctx, proposal)
    if execute:
        PROPOSALS.require_second_person(ctx, proposal)
    settle(ctx, proposal, execute)
    return proposal, _execute(ctx, settings, proposal) if execute else None


def settle(ctx: Context, proposal: UserChange, execute: bool, organisation_id: UUID | None = None, **facts: Any) -> None:
    """Record the decision with further facts, and end the proposal. The caller carries out the change itself."""
    action = Action.USER_CHANGE_APPROVE if execute else Action.USER_CHANGE_REJECT
    act = record(ctx, action, USER_CHANGE.kind, proposal.id, organisation_id=organisation_id, change=proposal.change, **facts)
    PROPOSALS.decide(ctx, proposal, execute, act)


def _execute(ctx: Context, settings: Settings, proposal: UserChange) -> str | None:
    user = ctx.session.get_one(User, proposal.user_id)
    if proposal.change == "invite":
        return service.invite_again(ctx, settings, user)
    if proposal.ends_at is not None:
        _give_until(ctx, user, Role(proposal.roles), proposal.ends_at)
        return None
    if proposal.change == PERSON:
        return consents.accept_by_two(ctx, settings, proposal)
    service.change(ctx, user, proposal.change, role_set(proposal.roles))
    return None


def _give_until(ctx: Context, user: User, role: Role, ends_at: datetime) -> None:
    if ends_at <= ctx.trusted_now:
        raise Conflict("The last day of this role is over: reject the proposal.")
    _require_deputy(ctx, user, role)
    give_role(ctx, user, role, ends_at)


def invite_central(ctx: Context, new: service.NewUser, organisation: Organisation) -> UserChange:
    """Make a central account without a link, and propose its invitation to a second user administrator."""
    user = service.make_user(ctx, organisation, new)
    record_change(ctx, Action.USER_REGISTER, user, roles=role_names(role_set(user.roles)))
    return propose_change(ctx, user, "invite")


def invite_by_admin(
    ctx: Context, settings: Settings, organisation: Organisation, new: service.NewUser
) -> tuple[User, UUID | None, str | None]:
    """Invite an organisation's first head at once, or propose to invite a central person.

    Return the account, the id of the proposal (central people) and the secret of the link (heads). Raise Invalid if the organisation has a
    head already or other roles than head are asked for, and what `service.make_user` raises.
    """
    if organisation.kind == OrganisationKind.DIRECTORATE:
        proposal = invite_central(ctx, new, organisation)
        return ctx.session.get_one(User, proposal.user_id), proposal.id, None
    heads = select(User.id).where(
        User.organisation_id == organisation.id, holds(User, Role.HEAD, ctx.now), User.state != AccountState.DISABLED
    )
    if new.roles != {Role.HEAD} or ctx.session.scalar(heads):
        raise Invalid.field("roles", FIRST_ONLY)
    user, secret = service.invite(ctx, settings, organisation, new)
    return user, None, secret


def invite_head_again(ctx: Context, settings: Settings, user: User) -> str:
    """Make a new link for a head and return its secret. Raise NotFound for other accounts: their own heads invite them again."""
    if user.organisation.kind == OrganisationKind.DIRECTORATE or Role.HEAD not in user.roles_at(ctx.now):
        raise NotFound()
    return service.invite_again(ctx, settings, user)
