"""One human is one person: whoever is known consents before a further account becomes theirs.

An invitation claims who the invited is (`sifilma/identity/models.py`, Person). If there is such a person, they are asked: on their home
page and by every channel they have. They accept from an account of theirs, with a fresh one-time code, and get a link of their own: what
the inviter was handed opens nothing. Where the person has no living account, one user administrator proposes that the account becomes
theirs, and another executes it. The inviter is told nothing of this: the worker asks, not the invitation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from flask_babel import gettext
from sqlalchemy import ColumnElement, Select, exists, select
from sqlalchemy.orm import aliased

from config.settings import Settings
from sifilma.accounts import service
from sifilma.accounts.models import CONSENT, PERSON, AccountConsent, ConsentState, UserChange
from sifilma.approvals.models import ProposalState
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import AccountState, Invitation, Person, User, role_set
from sifilma.kernel.context import Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.text import say
from sifilma.sign_in import contacts
from sifilma.sign_in.authority import is_authentic

AT_ONCE = 50
"""At most so many in one transaction."""
PAGE = "/profil/permintaan"
# Made once: to make an alias takes longer than the rest of its condition.
_known, _account, _claim, _living = aliased(Person), aliased(User), aliased(Person), aliased(User)
CONSENT_NEEDED = say(
    "Whoever has this id number has an account of SI-FILMA already. If that is you, sign in with it and accept the new account there, under"
    " Profile. If you can sign in no more, turn to the user administrators."
)


@dataclass(frozen=True)
class Question:
    """A question to a person whether a further account is theirs; `who` is the name they are registered with."""

    consent: AccountConsent
    user: User
    who: str = ""


# --- asking, by the worker -------------------------------------------------------------------------------------------


def ask_known_people(ctx: Context, settings: Settings) -> int:
    """Ask the people whom invitations claim to be of, and who are known. Return how many were asked."""
    is_open = exists().where(Invitation.user_id == User.id, Invitation.used_at.is_(None), Invitation.expires_at > ctx.now)
    was_asked = exists().where(AccountConsent.user_id == User.id, AccountConsent.state != ConsentState.EXPIRED)
    waiting = (
        select(User, _known.id)
        .join(Person, Person.id == User.person_id)
        .join(_known, _known.identity == Person.claims)
        .where(User.state == AccountState.INVITED, is_open, ~was_asked)
    )
    # An account that another worker has locked is asked about by that one.
    rows = ctx.session.execute(waiting.order_by(User.id).limit(AT_ONCE).with_for_update(of=User, skip_locked=True)).all()
    for user, person_id in rows:
        _ask(ctx, settings, user, person_id)
    return len(rows)


def _ask(ctx: Context, settings: Settings, user: User, person_id: UUID) -> None:
    consent = AccountConsent(
        id=uuid7(), user_id=user.id, person_id=person_id, asked_at=ctx.now, expires_at=ctx.now + timedelta(days=settings.consent_days)
    )
    # The entry is of no organisation: those of the inviter's are read there.
    act = record(ctx, Action.USER_CONSENT_ASK, CONSENT.kind, consent.id)
    CONSENT.born(consent, ConsentState.ASKED, act)
    ctx.session.add(consent)
    ctx.session.flush()
    organisation = user.organisation.name

    def write() -> tuple[str, str, str]:
        return (
            gettext("SI-FILMA: is this new account yours?"),
            gettext(
                "%(organisation)s has invited you to a further account. It is yours only if you accept it, signed in with the account you"
                " have. If you know nothing of it, refuse it.",
                organisation=organisation,
            ),
            PAGE,
        )

    contacts.tell_everywhere(ctx, settings, person_id, write)


def expire_consents(ctx: Context) -> int:
    """Move questions past their time to `expired`. Return their number."""
    late = select(AccountConsent).where(AccountConsent.state == ConsentState.ASKED, AccountConsent.expires_at <= ctx.due_until())
    rows = list(ctx.session.scalars(late.limit(AT_ONCE).with_for_update(skip_locked=True)))
    for consent in rows:
        CONSENT.move(ctx.session, consent, ConsentState.EXPIRED, record(ctx, Action.USER_CONSENT_EXPIRE, CONSENT.kind, consent.id))
        ctx.session.flush()
    return len(rows)


# --- answering, by the person ----------------------------------------------------------------------------------------


def own_questions_query(ctx: Context) -> Select[AccountConsent]:
    """Return a query of the questions to the actor that are open, or accepted and not taken up yet."""
    return select(AccountConsent).where(AccountConsent.person_id == ctx.actor.person_id, *_is_open(ctx))


def _is_open(ctx: Context) -> tuple[ColumnElement[bool], ...]:
    claimed = exists().where(
        _account.id == AccountConsent.user_id,
        _account.state == AccountState.INVITED,
        _claim.id == _account.person_id,
        _claim.claims.is_not(None),
    )
    return (AccountConsent.state.in_((ConsentState.ASKED, ConsentState.ACCEPTED)), AccountConsent.expires_at > ctx.now, claimed)


def own_questions(ctx: Context) -> list[Question]:
    """Return the questions to the actor, oldest first."""
    query = own_questions_query(ctx).add_columns(User).join(User, User.id == AccountConsent.user_id).order_by(AccountConsent.id)
    return [Question(consent, user) for consent, user in ctx.session.execute(query)]


def answer(ctx: Context, settings: Settings, consent_id: UUID, accept: bool) -> tuple[AccountConsent, str | None]:
    """Accept or refuse a further account. Return the question and the secret of the person's own link (None after a refusal).

    Accepting again before the link was used gives a new one. The caller has asked for a fresh one-time code. Raise NotFound for a question
    to another person or one that is over, and Conflict (`capabilities`) if the account has a role that this person must not hold.
    """
    consent = ctx.session.scalars(own_questions_query(ctx).where(AccountConsent.id == consent_id)).first()
    if consent is None:
        raise NotFound()
    hold(ctx.session, consent)
    if not accept:
        _decide(ctx, consent, ConsentState.REFUSED, Action.USER_CONSENT_REFUSE)
        return consent, None
    return consent, _accept(ctx, settings, consent)


def _accept(ctx: Context, settings: Settings, consent: AccountConsent, change_id: UUID | None = None) -> str:
    user = ctx.session.get_one(User, consent.user_id)
    service.check_capabilities(ctx, ctx.session.get_one(Person, consent.person_id), role_set(user.roles), user.id)
    _decide(ctx, consent, ConsentState.ACCEPTED, Action.USER_CONSENT_ACCEPT)
    # Whoever holds the link that was handed out is not known to be the person: it ends, and only this one is enrolled with.
    return service.new_invitation(ctx, settings, user, change_id, consent_id=consent.id)


def _decide(ctx: Context, consent: AccountConsent, state: ConsentState, action: Action) -> None:
    # Of the organisation in which the person answered, not of the inviter's.
    CONSENT.require(consent, state)
    consent.decided_by = ctx.actor.user_id
    CONSENT.move(ctx.session, consent, state, record(ctx, action, CONSENT.kind, consent.id))
    ctx.session.flush()


# --- where the person has no living account --------------------------------------------------------------------------


def orphaned_query(ctx: Context) -> Select[AccountConsent]:
    """Return a query of the open questions to people who have no account in use, and so cannot answer, unless a proposal waits already."""
    proposed = exists().where(UserChange.user_id == AccountConsent.user_id, UserChange.state == ProposalState.PROPOSED)
    living = exists().where(_living.person_id == AccountConsent.person_id, _living.state == AccountState.ACTIVE)
    return select(AccountConsent).where(AccountConsent.state == ConsentState.ASKED, ~living, ~proposed, *_is_open(ctx))


def orphaned(ctx: Context) -> list[Question]:
    """Return these questions, oldest first."""
    query = (
        orphaned_query(ctx)
        .add_columns(User, Person.name)
        .join(User, User.id == AccountConsent.user_id)
        .join(Person, Person.id == AccountConsent.person_id)
    )
    return [Question(*row) for row in ctx.session.execute(query.order_by(AccountConsent.id))]


def get_orphaned(ctx: Context, consent_id: UUID) -> AccountConsent:
    """Return such a question. Raise NotFound if there is none."""
    found = ctx.session.scalars(orphaned_query(ctx).where(AccountConsent.id == consent_id)).first()
    if found is None:
        raise NotFound()
    return found


def accept_by_two(ctx: Context, settings: Settings, proposal: UserChange) -> str:
    """Accept in the place of the person, as the executed proposal asks. Return the secret of the link.

    Raise Conflict if the person has an account in use by now, or the question is over, and `capabilities` as `answer` does.
    """
    consent = ctx.session.scalars(orphaned_query(ctx).where(AccountConsent.user_id == proposal.user_id)).first()
    if consent is None or proposal.change != PERSON:
        raise Conflict("This question is over, or the person has an account in use and answers themselves.", type="consent-over")
    hold(ctx.session, consent)
    return _accept(ctx, settings, consent, proposal.id)


# --- taking up -------------------------------------------------------------------------------------------------------


def bind_person(ctx: Context, user: User, invitation: Invitation) -> None:
    """Make an account that is taken up one of the person it claims to be of. It has been bound already after a lost factor.

    Raise Conflict (`consent-needed`) if that person is known and did not give rise to this very link, and Conflict (`capabilities`).
    """
    claim = user.person
    if claim.claims is None:
        _require_first(ctx, user)
        return
    known = ctx.session.scalars(select(Person).where(Person.identity == claim.claims)).first()
    if known is None:
        claim.identity, claim.claims = claim.claims, None
        record(ctx, Action.PERSON_CHANGE, "person", claim.id, organisation_id=user.organisation_id, rows=[claim])
        ctx.session.flush()
        return
    if not _agreed(ctx, user, invitation, known):
        raise Conflict(CONSENT_NEEDED, type="consent-needed")
    service.check_capabilities(ctx, known, role_set(user.roles), user.id)
    user.person_id = known.id  # the column, since the seal covers what is set before the flush
    ctx.session.flush()
    ctx.session.refresh(user, ["person"])


def _require_first(ctx: Context, user: User) -> None:
    """Raise Conflict (`consent-needed`) for an invitation of before there were claims, whose person took another account up meanwhile.

    Nobody can consent to it: it is made anew. An account that was taken up before, and lost its factor, has used a code.
    """
    other = select(User.id).where(User.person_id == user.person_id, User.id != user.id, User.password_hash != "")
    if user.totp_last_step == 0 and ctx.session.scalar(other.limit(1)) is not None:
        raise Conflict(CONSENT_NEEDED, type="consent-needed")


def _agreed(ctx: Context, user: User, invitation: Invitation, known: Person) -> bool:
    if invitation.consent_id is None:
        return False
    consent = ctx.session.get_one(AccountConsent, invitation.consent_id)
    stands = consent.state == ConsentState.ACCEPTED and (consent.user_id, consent.person_id) == (user.id, known.id)
    return stands and (invitation.change_id is not None or _is_account_of(ctx, invitation.created_by, known))


def _is_account_of(ctx: Context, user_id: UUID | None, known: Person) -> bool:
    """Return whether the account that made the link, by accepting, is the person's.

    Seals cover who made a link and whose an account is; who is asked, and whom an account claims to be of, they do not.
    """
    account = ctx.session.get(User, user_id) if user_id else None
    return account is not None and account.person_id == known.id and is_authentic(ctx, User, account)
