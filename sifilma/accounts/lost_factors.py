"""Lost second factors: one person reports the loss, another decides (docs/domain.md, Signing in).

When the second person agrees, the password, all factors and all sessions of the account end, and a new one-time link is made.
For central people and heads both persons are user administrators. For staff both are heads of their organisation; if it has only one
head, the second person is a user administrator.

Nobody invents the second person. Heads count who were heads before `newcomer_days`, as proposers and as deciders; else a user administrator
decides. And none decides who had a part in the making of the proposer's account since then, or the other way round.

The person is told at the report and at the decision, by every channel they have. While their account works they may object from it, with a
fresh code of the very factor that is said to be lost: that ends the report. Other heads decide after `objection_hours`, so that there is
time for it; user administrators decide at once, since an office whose only head lost the phone stands still.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from flask_babel import gettext
from sqlalchemy import ColumnElement, Select, and_, exists, false, literal, not_, or_, select
from sqlalchemy.orm import aliased

from config.settings import Settings
from sifilma.accounts import service
from sifilma.accounts.consents import PAGE
from sifilma.accounts.models import FACTOR, USER_CHANGE, UserChange
from sifilma.accounts.proposals import PROPOSALS, make_proposal, settle
from sifilma.accounts.queries import get_visible_user
from sifilma.approvals.four_eyes import is_proposer
from sifilma.approvals.models import ProposalState
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import AccountState, Invitation, User, UserRole, role_set
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import Actor, OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Forbidden, NotFound, StepUpRequired
from sifilma.kernel.text import say
from sifilma.sign_in import contacts


def of_administrators(user: User) -> bool:
    """Return whether user administrators report and decide for this account. They do for central people and for heads."""
    return user.organisation.kind == OrganisationKind.DIRECTORATE or Role.HEAD in role_set(user.roles)


def reports(actor: Actor, user: User) -> bool:
    """Return whether the actor may report this account's second factor as lost. Nobody reports their own."""
    return user.person_id != actor.person_id and of_administrators(user) == actor.is_central


def report(ctx: Context, settings: Settings, user_id: UUID, reason: str) -> UserChange:
    """Report a second factor as lost, and tell the person. Return the proposal; nothing ends before a second person agrees.

    Raise NotFound outside the actor's scope, Forbidden (`four-eyes`) for the actor's own account, and Conflict if others report for this
    account, if it is not active, or if a proposal for it waits already.
    """
    user = get_visible_user(ctx, user_id)
    if user.person_id == ctx.actor.person_id:
        raise Forbidden("Nobody reports their own second factor: ask another.", type="four-eyes")
    if not reports(ctx.actor, user):
        raise Conflict("For heads and central people a user administrator reports this, for others the head of their organisation.")
    if user.state != AccountState.ACTIVE:
        raise Conflict("This account is not in use: there is no second factor to lose.")
    known_before = ctx.now - timedelta(days=settings.newcomer_days)
    heads_from = ctx.now + timedelta(hours=settings.objection_hours)
    proposal = make_proposal(ctx, user, FACTOR, reason=reason, known_before=known_before, heads_from=heads_from)
    contacts.tell_everywhere(ctx, settings, user.person_id, _report_told)
    return proposal


# --- who may be the second person ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parties:
    """What is asked of the people of a report. The names are those of the columns that `parties` returns.

    `another_head`: a head can be the second person. `is_kin`: proposer and actor had a part in the making of each other's accounts lately.
    `are_settled`: both have been heads of the organisation since before `known_before`.
    """

    another_head: bool
    is_kin: bool
    are_settled: bool


def parties(actor: Actor) -> tuple[ColumnElement[bool], ...]:
    """Return the columns of Parties for a query of UserChange and User. `sifilma/accounts/models.py` has the same rule for the database."""
    return other_head(), *_relation(actor.person_id)


@lru_cache(maxsize=128)
def _relation(person_id: UUID | None) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return `is_kin` and `are_settled` of a person. They are kept, since they take 2 ms to build."""
    if person_id is None:
        return false(), false()
    me = literal(person_id)
    return _kin(me, UserChange.proposed_by_person), and_(_headed(UserChange.proposed_by_person), _headed(me))


# Made once: home pages and reminders ask this for everybody, and to make aliases took a third of a reminder's time.
_other, _head, _role = aliased(User), aliased(User), aliased(UserRole)
_account, _inviter, _invitation, _change = aliased(User), aliased(User), aliased(Invitation), aliased(UserChange)


@lru_cache(maxsize=1)
def other_head() -> ColumnElement[bool]:
    """Return an SQL condition on a query of UserChange and User: the organisation has an active head who can be the second person.

    That is a head other than the proposer and other than the person of the account, neither new nor of the proposer's making.
    """
    found = exists().where(
        _other.organisation_id == User.organisation_id,
        _other.state == AccountState.ACTIVE,
        _other.person_id != UserChange.proposed_by_person,
        _other.person_id != User.person_id,
        _headed(_other.person_id),
        not_(_kin(_other.person_id, UserChange.proposed_by_person)),
    )
    return and_(_headed(UserChange.proposed_by_person), found.correlate(User, UserChange))


def _headed(person: Any) -> ColumnElement[bool]:
    """Return the condition that a person is a head of the account's organisation, and was before `known_before`."""
    head, role = _head, _role
    found = select(head.id).where(
        head.organisation_id == User.organisation_id,
        head.person_id == person,
        head.state == AccountState.ACTIVE,
        role.user_id == head.id,
        role.role == Role.HEAD,
        role.until.is_(None),
        role.ends_at.is_(None),  # an acting head is head for a time only
        role.since <= UserChange.known_before,
    )
    return found.correlate_except(head, role).exists()


def _kin(one: Any, other: Any) -> ColumnElement[bool]:
    return or_(_made(one, other), _made(other, one))


def _made(maker: Any, made: Any) -> ColumnElement[bool]:
    """Return the condition that since `known_before` one person made a link for the other, or had a part in a change of their account.

    Who merely proposed that the other lost a factor never saw the link, and is needed where there are two user administrators.
    """
    account, inviter, invitation, change = _account, _inviter, _invitation, _change
    invited = select(invitation.id).where(
        account.id == invitation.user_id,
        inviter.id == invitation.created_by,
        account.person_id == made,
        inviter.person_id == maker,
        invitation.created_at > UserChange.known_before,
    )
    changed = select(change.id).where(
        account.id == change.user_id,
        account.person_id == made,
        change.state == ProposalState.EXECUTED,
        change.change.not_in(("disable", FACTOR)),
        change.id != UserChange.id,
        or_(change.proposed_by_person == maker, change.decided_by_person == maker),
        change.decided_at > UserChange.known_before,
    )
    return or_(invited.correlate_except(invitation, account, inviter).exists(), changed.correlate_except(change, account).exists())


def may_decide(ctx: Context) -> ColumnElement[bool]:
    """Return `refusal` as a condition in SQL, as far as it is about kin, new heads and the time to object. Other proposals meet it."""
    is_kin, are_settled = _relation(ctx.actor.person_id)
    if ctx.actor.is_central:
        return not_(is_kin)
    return and_(not_(is_kin), are_settled, UserChange.heads_from <= ctx.now)


def refusal(ctx: Context, proposal: UserChange, user: User, found: Parties) -> str:
    """Return why the actor cannot be the second person of this proposal, or an empty text if they can."""
    actor = ctx.actor
    if is_proposer(proposal, actor.person_id) or actor.person_id == user.person_id:
        return say("Another person must decide this.")
    if of_administrators(user) and not actor.is_central:
        return say("Another user administrator must decide this.")
    if found.is_kin:
        return say("Lately one of you, the proposer or you, invited the other or changed their account: somebody else decides this.")
    if actor.is_central:
        return "" if of_administrators(user) or not found.another_head else say("Another head of the organisation decides this.")
    if not found.are_settled:
        return say("Somebody has not been a head for long, the proposer or you: a user administrator decides this.")
    if proposal.heads_from is not None and ctx.now < proposal.heads_from:
        return say("The person still has time to object: decide this later.")
    return ""


# --- deciding and objecting ------------------------------------------------------------------------------------------


def decide(ctx: Context, settings: Settings, change_id: UUID, execute: bool) -> tuple[UserChange, str | None]:
    """Execute or reject a report. Return the proposal and the secret of the new one-time link (None after a rejection).

    The proposer may reject their own report, that is, withdraw it. Raise NotFound outside the actor's scope, Forbidden (`four-eyes`) if the
    actor is not the second person, and Conflict if the report was decided already or the account is not active.
    """
    query: Any = select(UserChange, User, *parties(ctx.actor)).join(User, User.id == UserChange.user_id)
    seen: Select[Any] = scoped(query, ctx.actor, Operation.USERS_FACTOR, User.organisation_id)
    row = ctx.session.execute(seen.where(UserChange.id == change_id, UserChange.change == FACTOR)).first()
    if row is None:
        raise NotFound()
    proposal, user, *found = row
    PROPOSALS.take(ctx, proposal)
    refused = refusal(ctx, proposal, user, Parties(*found))
    if refused and (execute or not PROPOSALS.is_own(ctx, proposal)):
        raise Forbidden(refused, type="four-eyes")
    return proposal, _decided(ctx, settings, proposal, user, execute)


def _decided(ctx: Context, settings: Settings, proposal: UserChange, user: User, execute: bool) -> str | None:
    if execute and user.state != AccountState.ACTIVE:
        raise Conflict("This account is not in use: there is no second factor to lose.")
    # First the proposal is executed: the triggers `factor_given_up` and `invitation_agreed` require that of what `begin_anew` does.
    settle(ctx, proposal, execute, user.organisation_id)
    if not execute:
        return None
    contacts.tell_everywhere(ctx, settings, user.person_id, _decision_told)
    return service.begin_anew(ctx, settings, user, proposal.id)


def own_reports(ctx: Context) -> list[UserChange]:
    """Return the open reports that the actor's own account has lost its second factor: one, or none."""
    mine = select(UserChange).where(UserChange.user_id == ctx.actor.user_id, UserChange.change == FACTOR)
    return list(ctx.session.scalars(mine.where(UserChange.state == ProposalState.PROPOSED)))


def object_to(ctx: Context, change_id: UUID) -> UserChange:
    """End a report of the actor's own account: the second factor they have just used is not lost.

    The caller has asked for a fresh code. Raise StepUpRequired if it was given before the report, NotFound for a report on another account,
    and Conflict if it was decided already.
    """
    query = select(UserChange).where(UserChange.id == change_id, UserChange.change == FACTOR, UserChange.user_id == ctx.actor.user_id)
    proposal = ctx.session.scalars(query).first()
    if proposal is None:
        raise NotFound()
    PROPOSALS.take(ctx, proposal)
    if ctx.actor.otp_at is None or ctx.actor.otp_at < proposal.proposed_at:
        raise StepUpRequired()
    act = record(ctx, Action.USER_FACTOR_OBJECT, USER_CHANGE.kind, proposal.id, change=FACTOR)
    PROPOSALS.decide(ctx, proposal, False, act)
    return proposal


def _report_told() -> tuple[str, str, str]:
    """Return what the person is told at the report. It does not say who reported, nor hold a link that signs in."""
    return (
        gettext("SI-FILMA: your second factor was reported as lost"),
        gettext(
            "Somebody has reported that you have lost your second factor. If another person agrees, your password, second factors and"
            " sessions end, and whoever is handed a new link enrols anew. If you have lost nothing, sign in and object now."
        ),
        PAGE,
    )


def _decision_told() -> tuple[str, str, str]:
    """Return what the person is told at the decision. It does not hold the link."""
    return (
        gettext("SI-FILMA: your second factor is replaced"),
        gettext(
            "Your password, authenticator app, passkeys, recovery codes and sessions have ended. You are handed a new one-time link."
            " If you have lost nothing, tell the head of your organisation or the user administrators at once."
        ),
        "/masuk",
    )
