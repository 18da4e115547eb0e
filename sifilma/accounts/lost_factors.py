"""Lost second factors: one person reports the loss, another decides (docs/domain.md, Signing in).

When the second person agrees, the password, all factors and all sessions of the account end, and a new one-time link is made.
For central people and heads both persons are user administrators. For staff both are heads of their organisation; if it has only one
head, the second person is a user administrator.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask_babel import force_locale, gettext
from sqlalchemy import ColumnElement, Select, exists, select
from sqlalchemy.orm import aliased

from config.settings import Settings
from sifilma.accounts import service
from sifilma.accounts.models import UserChange
from sifilma.accounts.proposals import PROPOSALS, make_proposal, settle
from sifilma.accounts.queries import get_visible_user
from sifilma.approvals.four_eyes import is_proposer
from sifilma.identity.models import AccountState, User, holds, role_set
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.actor import Actor, OrganisationKind, Role
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Forbidden, NotFound
from sifilma.kernel.text import say
from sifilma.notifications import outbox
from sifilma.notifications.contract import Channel
from sifilma.notifications.outbox import Recipient
from sifilma.notifications.senders import senders
from sifilma.sign_in import contacts

FACTOR = "factor"


def of_administrators(user: User) -> bool:
    """Return whether user administrators report and decide for this account. They do for central people and for heads."""
    return user.organisation.kind == OrganisationKind.DIRECTORATE or Role.HEAD in role_set(user.roles)


def reports(actor: Actor, user: User) -> bool:
    """Return whether the actor may report this account's second factor as lost. Nobody reports their own."""
    return user.person_id != actor.person_id and of_administrators(user) == actor.is_central


def report(ctx: Context, user_id: UUID, reason: str) -> UserChange:
    """Report a second factor as lost. Return the proposal; nothing of the account ends before a second person agrees.

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
    return make_proposal(ctx, user, FACTOR, reason=reason)


def other_head(now: datetime) -> ColumnElement[bool]:
    """Return an SQL condition on a query of UserChange and User: the organisation has an active head who can be the second person.

    That is a head other than the proposer and other than the person of the account.
    """
    head = aliased(User)
    found = exists().where(
        head.organisation_id == User.organisation_id,
        holds(head, Role.HEAD, now),
        head.state == AccountState.ACTIVE,
        head.person_id != UserChange.proposed_by_person,
        head.person_id != User.person_id,
    )
    return found.correlate(User, UserChange)


def refusal(actor: Actor, proposal: UserChange, user: User, another_head: bool) -> str:
    """Return why the actor cannot be the second person of this proposal, or an empty text if they can.

    `another_head` is the value of `other_head` for the proposal.
    """
    if is_proposer(proposal, actor.person_id) or actor.person_id == user.person_id:
        return say("Another person must decide this.")
    if of_administrators(user) and not actor.is_central:
        return say("Another user administrator must decide this.")
    if not of_administrators(user) and actor.is_central and another_head:
        return say("Another head of the organisation decides this.")
    return ""


def decide(ctx: Context, settings: Settings, change_id: UUID, execute: bool) -> tuple[UserChange, str | None]:
    """Execute or reject a report. Return the proposal and the secret of the new one-time link (None after a rejection).

    The proposer may reject their own report, that is, withdraw it. Raise NotFound outside the actor's scope, Forbidden (`four-eyes`) if the
    actor is not the second person, and Conflict if the report was decided already or the account is not active.
    """
    query: Any = select(UserChange, User, other_head(ctx.now)).join(User, User.id == UserChange.user_id)
    seen: Select[Any] = scoped(query, ctx.actor, Operation.USERS_FACTOR, User.organisation_id)
    row = ctx.session.execute(seen.where(UserChange.id == change_id, UserChange.change == FACTOR)).first()
    if row is None:
        raise NotFound()
    proposal, user, another_head = row
    PROPOSALS.take(ctx, proposal)
    refused = refusal(ctx.actor, proposal, user, another_head)
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
    _warn(ctx, settings, user)
    return service.begin_anew(ctx, settings, user, proposal.id)


def _warn(ctx: Context, settings: Settings, user: User) -> None:
    """Send an e-mail to the person, whatever channels they chose: they must learn of a report that is false. It does not hold the link."""
    if Channel.EMAIL not in senders(settings) or not user.email:
        return
    with force_locale(user.language):
        subject = gettext("SI-FILMA: your second factor was reported as lost")
        text = gettext(
            "Your password, authenticator app, passkeys, recovery codes and sessions have ended. You are handed a new one-time link."
            " If you have lost nothing, tell the head of your organisation or the user administrators at once."
        )
    outbox.enqueue(ctx, settings, Recipient(Channel.EMAIL, user.email, user.id), contacts.PURPOSE, subject, text)
