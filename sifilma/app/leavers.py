"""People who have left: after the time of retention their name, number, addresses and user names give way to a pseudonym.

The record of acts holds ids of persons and accounts, no names; so it stays as it is, and shows the pseudonym from then on. Printed papers
and uploaded letters stay as they were issued (docs/operations.md, What is kept and for how long).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import click
from sqlalchemy import ColumnElement, Select, delete, exists, func, or_, select

from config.settings import Settings
from sifilma.accounts.cli import users
from sifilma.accounts.models import UserChange
from sifilma.activation.models import Revocation
from sifilma.approvals.models import ProposalState
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import UnitKeyChange
from sifilma.cards.upkeep.models import UnitCorrection
from sifilma.identity.models import AccountState, LoginSession, Person, User
from sifilma.kernel import sealing
from sifilma.kernel.context import Context
from sifilma.notifications.models import OutboxMessage
from sifilma.oversight.models import ReferenceChange
from sifilma.resources import resources
from sifilma.sign_in.authority import record_change
from sifilma.sign_in.models import Passkey, PasskeyChallenge, RecoveryCode, SentCode
from sifilma.web.command import command_context

AT_ONCE = 50
FORMER = "former:"
"""What the identity of a pseudonymised person begins with."""


def leavers_query(ctx: Context, settings: Settings) -> Select[Person]:
    """Return a query of persons who have left long enough ago: all their accounts were disabled then, and no proposal of theirs is open."""
    edge = ctx.due_until() - timedelta(days=settings.person_retention_days)
    stays = exists().where(
        User.person_id == Person.id, (User.state != AccountState.DISABLED) | User.disabled_at.is_(None) | (User.disabled_at > edge)
    )
    had = exists().where(User.person_id == Person.id)
    return select(Person).where(Person.pseudonym_act_id.is_(None), had, ~stays, ~_open_proposals()).order_by(Person.id)


def _open_proposals() -> ColumnElement[bool]:
    """Return the condition of persons who have proposed something that waits, or whose account a waiting proposal is about."""
    mine = (
        exists().where(kind.proposed_by_person == Person.id, kind.state == ProposalState.PROPOSED)
        for kind in (UserChange, Revocation, ReferenceChange, UnitKeyChange, UnitCorrection)
    )
    about = exists().where(UserChange.user_id == User.id, User.person_id == Person.id, UserChange.state == ProposalState.PROPOSED)
    return or_(*mine, about)


def pseudonymise_leavers(ctx: Context, settings: Settings) -> int:
    """Give pseudonyms to people who have left long enough ago, each by an act of its own. Return their number. Raise ClockNotTrusted."""
    if not settings.person_retention_days:
        return 0
    found = list(ctx.session.scalars(leavers_query(ctx, settings).limit(AT_ONCE).with_for_update(skip_locked=True)))
    for person in found:
        _pseudonymise(ctx, settings, person)
    return len(found)


def _pseudonymise(ctx: Context, settings: Settings, person: Person) -> None:
    accounts = ctx.session.scalars(select(User).where(User.person_id == person.id).order_by(User.id)).all()
    act = record(ctx, Action.PERSON_PSEUDONYMISE, "person", person.id, organisation_id=accounts[0].organisation_id, count=len(accounts))
    number = hashed(settings, person.id, person.claims or person.identity)
    # The act goes with the change: without it a trigger refuses to change who a person is.
    person.pseudonym_act_id, person.claims = act.id, None
    person.identity, person.id_number, person.name = FORMER + number, number[:40], f"Pengguna {number[:8]}"
    record(ctx, Action.PERSON_CHANGE, "person", person.id, organisation_id=accounts[0].organisation_id, rows=[person])
    ctx.session.flush()
    for number_, user in enumerate(accounts):
        _forget_account(ctx, user, f"former.{number[:12]}.{number_}")


def hashed(settings: Settings, person_id: UUID, identity: str) -> str:
    """Return the keyed hash (HMAC-SHA-256, hex) of an identity. Whoever has the key and a number can tell whether it was this person's.

    The person's id goes in, because several rows may have had one identity: of somebody who left, came back and left again, and of
    invitations that nobody took up.
    """
    return hmac.digest(sealing.key(settings.secret("secret_key"), "pseudonym"), f"{person_id}:{identity}".encode(), "sha256").hex()


def _forget_account(ctx: Context, user: User, username: str) -> None:
    user.username, user.email, user.phone, user.notices, user.password_hash, user.totp_sealed = username, "", "", "", "", None
    record_change(ctx, Action.PERSON_PSEUDONYMISE, user)
    sessions = select(LoginSession.id).where(LoginSession.user_id == user.id).scalar_subquery()
    for gone in (
        delete(SentCode).where(SentCode.session_id.in_(sessions)),
        delete(PasskeyChallenge).where(PasskeyChallenge.session_id.in_(sessions)),
        delete(LoginSession).where(LoginSession.user_id == user.id),
        delete(Passkey).where(Passkey.user_id == user.id),
        delete(RecoveryCode).where(RecoveryCode.user_id == user.id),
        delete(OutboxMessage).where(OutboxMessage.user_id == user.id),
    ):
        ctx.session.execute(gone.execution_options(synchronize_session=False))


@users.command("retention")
@click.option("--dry-run", is_flag=True, help="Say who would be given a pseudonym, and change nothing.")
def retention(dry_run: bool) -> None:
    """Give pseudonyms to people who have left long enough ago (SIFILMA_PERSON_RETENTION_DAYS), as the worker does by itself."""
    settings = resources().settings
    with command_context() as ctx:
        if not settings.person_retention_days:
            raise click.ClickException("SIFILMA_PERSON_RETENTION_DAYS is 0: nobody is given a pseudonym")
        if not dry_run:
            click.echo(f"{pseudonymise_leavers(ctx, settings)} persons were given a pseudonym")
            return
        ctx.uow.begin_read()
        found: Sequence[Person] = ctx.session.scalars(leavers_query(ctx, settings)).all()
        for person in found:
            click.echo(_told(ctx, person))
    click.echo(f"{len(found)} persons would be given a pseudonym")


def _told(ctx: Context, person: Person) -> str:
    accounts = ctx.session.scalars(select(User).where(User.person_id == person.id).order_by(User.id)).all()
    since = ctx.session.scalar(select(func.max(User.disabled_at)).where(User.person_id == person.id))
    names = ", ".join(f"{user.username} ({user.organisation.name})" for user in accounts)
    return f"{person.name}: {names}; disabled since {since:%Y-%m-%d}"
