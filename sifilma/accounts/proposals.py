"""What user administrators do: first heads, and central accounts, which one proposes and another executes."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from config.settings import Settings
from sifilma.accounts import service
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import AccountState, Organisation, User, UserChange
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say


def propose_change(ctx: Context, user: User, change: str, roles: frozenset[Role] = frozenset(), reason: str = "") -> UserChange:
    """Propose to disable, enable, re-role or invite a central account."""
    if user.organisation.kind != OrganisationKind.DIRECTORATE:
        raise NotFound()
    if change == "roles" and (not roles or not roles <= service.CENTRAL):
        raise Invalid.field("roles", say("Choose from: %(roles)s.", roles=", ".join(sorted(service.CENTRAL))))
    _require_possible(ctx, user, change, roles)
    return make_proposal(ctx, user, change, roles, reason)


def _require_possible(ctx: Context, user: User, change: str, roles: frozenset[Role]) -> None:
    """Nobody waits for a second person to do what could not be done."""
    if change == "invite" and user.state != AccountState.INVITED:
        raise Conflict("This account is in use: its second factor must be reported as lost.")
    if change == "enable" and user.state != AccountState.DISABLED:
        raise Conflict("This account is not disabled.")
    if change == "disable" and user.state == AccountState.DISABLED:
        raise Conflict("This account is disabled already.")
    if change in ("roles", "enable"):
        service.check_capabilities(ctx, user.person, roles or user.role_set, user.id)


def make_proposal(ctx: Context, user: User, change: str, roles: frozenset[Role] = frozenset(), reason: str = "") -> UserChange:
    """A proposal that waits for its second person; Conflict while another one waits for the same account."""
    if ctx.session.scalar(select(UserChange.id).where(UserChange.user_id == user.id, UserChange.state == "proposed")):
        raise Conflict("A proposal for this account waits already.", type="proposed-already")
    person_id = ctx.actor.person_id
    assert person_id is not None  # noqa: S101  # the hook lets only people in
    proposal = UserChange(
        id=uuid7(),
        user_id=user.id,
        change=change,
        roles=" ".join(sorted(roles)),
        reason=reason,
        state="proposed",
        proposed_by_person=person_id,
        proposed_at=ctx.now,
    )
    ctx.session.add(proposal)
    record(ctx, Action.USER_CHANGE_PROPOSE, "user_change", proposal.id, organisation_id=user.organisation_id, change=change)
    return proposal


def decide_change(ctx: Context, settings: Settings, change_id: UUID, execute: bool) -> tuple[UserChange, str | None]:
    """Execute or reject a proposal, by a second person; an invitation's link is the second value."""
    proposal = ctx.session.get(UserChange, change_id)
    if proposal is None:
        raise NotFound()
    hold(ctx.session, proposal)  # who executes and who rejects at once do not both win
    if proposal.change == "factor":
        raise Conflict("A second factor that was reported as lost is decided in its own way.", type="lost-factor")
    if proposal.state != "proposed":
        raise Conflict("This proposal has been decided.")
    if execute and proposal.proposed_by_person == ctx.actor.person_id:
        raise Forbidden("Another user administrator must decide this.", type="four-eyes")
    proposal.decided_by_person, proposal.decided_at = ctx.actor.person_id, ctx.now
    proposal.state = "executed" if execute else "rejected"
    action = Action.USER_CHANGE_APPROVE if execute else Action.USER_CHANGE_REJECT
    record(ctx, action, "user_change", proposal.id, change=proposal.change)
    return proposal, _execute(ctx, settings, proposal) if execute else None


def _execute(ctx: Context, settings: Settings, proposal: UserChange) -> str | None:
    user = ctx.session.get_one(User, proposal.user_id)
    if proposal.change == "invite":
        return service.invite_again(ctx, settings, user)
    service.change(ctx, user, proposal.change, frozenset(Role(name) for name in proposal.roles.split()))
    return None


def invite_central(ctx: Context, new: service.NewUser, organisation: Organisation) -> UserChange:
    """A central account waits, without a link, for a second user administrator."""
    user = service.make_user(ctx, organisation, new)
    return propose_change(ctx, user, "invite")


def invite_by_admin(
    ctx: Context, settings: Settings, organisation: Organisation, new: service.NewUser
) -> tuple[User, UUID | None, str | None]:
    """A user administrator invites an organisation's first head (link at once), or a central person (a proposal, no link yet)."""
    if organisation.kind == OrganisationKind.DIRECTORATE:
        proposal = invite_central(ctx, new, organisation)
        return ctx.session.get_one(User, proposal.user_id), proposal.id, None
    heads = select(User.id).where(User.organisation_id == organisation.id, User.roles.like("%head%"), User.state != AccountState.DISABLED)
    if new.roles != {Role.HEAD} or ctx.session.scalar(heads):
        raise Invalid.field("roles", "Only an organisation's first head is invited here; its head invites the others.")
    user, secret = service.invite(ctx, settings, organisation, new)
    return user, None, secret


def invite_head_again(ctx: Context, settings: Settings, user: User) -> str:
    """A user administrator gives the head of an organisation a new link; heads do it for everybody else of theirs."""
    if user.organisation.kind == OrganisationKind.DIRECTORATE or Role.HEAD not in user.role_set:
        raise NotFound()
    return service.invite_again(ctx, settings, user)
