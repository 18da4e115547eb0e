"""Taking up an invitation: its page, the authenticator's seed, password and code.

Whoever holds the link sees a seed. So that an inviter who opened it first has nothing, each view makes the seed anew and binds it to the
browser that looks: only that browser enrols with it. Each view is recorded.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.accounts.consents import bind_person
from sifilma.audit.models import Action
from sifilma.audit.service import record_in
from sifilma.identity.models import AccountState, Invitation, LoginSession, User
from sifilma.kernel.context import Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.kernel.text import say
from sifilma.kernel.timekeeping.moments import SLACK
from sifilma.sign_in import totp
from sifilma.sign_in.authentication import secret_hash
from sifilma.sign_in.authority import is_authentic, record_change
from sifilma.sign_in.passwords import check_strength, hash_password
from sifilma.sign_in.service import end_sessions

UNKNOWN_INVITATION = say("This invitation is unknown, used, or has lapsed. Ask for a new one.")
NOT_SEEN = say(
    "Open the invitation's page in this browser first: it shows the authenticator's code. A code of an earlier view counts no more."
)


@dataclass(frozen=True)
class View:
    """What a view of an invitation shows. `browser` is the secret of the browser that looks; `views` counts them, this one included.

    `is_asked`: the person may have an account already, and is then asked there instead.
    """

    user: User
    seed: str
    browser: str
    views: int
    is_asked: bool


def get_invitation(ctx: Context, secret: str) -> Invitation:
    """Return the invitation of a link. Raise the same NotFound if it is unknown, used or lapsed, so that the answer tells nothing more."""
    found = ctx.session.scalars(select(Invitation).where(Invitation.token_hash == secret_hash(secret))).first()
    is_ahead = found is not None and found.created_at > ctx.now + SLACK  # made by a wrong clock: it would live for years
    if found is None or found.used_at is not None or found.expires_at < ctx.now or is_ahead or not is_authentic(ctx, Invitation, found):
        raise NotFound(UNKNOWN_INVITATION)
    return found


def look_first(ctx: Context, settings: Settings, secret: str) -> View:
    """Look at an invitation, in a transaction of its own: the request that shows the page only reads."""
    get_invitation(ctx, secret)
    hashed = secret_hash(secret)
    browser = ctx.uow.separately(lambda session: _seed_anew(session, ctx, settings, hashed))
    return _view(ctx, settings, secret, browser)


def look(ctx: Context, settings: Settings, secret: str) -> View:
    """Look at an invitation in the present transaction: the seed is made anew. Raise NotFound as `get_invitation` does."""
    get_invitation(ctx, secret)
    browser = _seed_anew(ctx.session, ctx, settings, secret_hash(secret))
    ctx.session.flush()
    return _view(ctx, settings, secret, browser)


def look_again(ctx: Context, settings: Settings, secret: str, browser: str) -> View:
    """Look again from the same browser, with what it was shown: a form was not accepted. Another browser looks as for the first time."""
    if not _is_of(get_invitation(ctx, secret), browser):
        return look_first(ctx, settings, secret)
    return _view(ctx, settings, secret, browser)


def _seed_anew(session: Session, ctx: Context, settings: Settings, hashed: str) -> str:
    # The row is locked: of two that look at once the later one has the seed that counts.
    row = session.scalars(select(Invitation).where(Invitation.token_hash == hashed).with_for_update()).one()
    browser = secrets.token_urlsafe(32)
    row.totp_sealed = totp.seal_seed(settings, str(row.user_id), totp.new_seed())
    row.browser_hash, row.views = secret_hash(browser), row.views + 1
    organisation_id = session.scalar(select(User.organisation_id).where(User.id == row.user_id))
    record_in(session, ctx, Action.USER_INVITATION_VIEW, "user", row.user_id, organisation_id=organisation_id, count=row.views)
    return browser


def _view(ctx: Context, settings: Settings, secret: str, browser: str) -> View:
    invitation = get_invitation(ctx, secret)
    user = ctx.session.get_one(User, invitation.user_id)
    is_asked = user.person.claims is not None and invitation.consent_id is None
    return View(user, _seed(settings, invitation, browser), browser, invitation.views, is_asked)


def _is_of(invitation: Invitation, browser: str) -> bool:
    return invitation.browser_hash is not None and hmac.compare_digest(invitation.browser_hash, secret_hash(browser))


def _seed(settings: Settings, invitation: Invitation, browser: str) -> str:
    """Return the seed that this browser was shown. Raise Conflict (`not-seen`) if it was shown none, or another looked since."""
    if not _is_of(invitation, browser) or invitation.totp_sealed is None:
        raise Conflict(NOT_SEEN, type="not-seen")
    return totp.open_seed(settings, str(invitation.user_id), invitation.totp_sealed)


def enrol(ctx: Context, settings: Settings, secret: str, browser: str, password: str, code: str) -> User:
    """Activate the account of an invitation with a password and a code of the authenticator. The link is used up.

    `browser` is the secret of the view whose seed the authenticator has. Raise NotFound if the link is unknown, used or lapsed, Conflict
    (`not-seen`) if this browser has no seed that counts, Invalid for a weak password or a wrong code, and what `bind_person` raises.
    """
    invitation = get_invitation(ctx, secret)
    user = ctx.session.get_one(User, invitation.user_id)
    check_strength(password, user.username, settings.password_min)
    step = totp.matching_step(_seed(settings, invitation, browser), totp.plain(code), ctx.now)
    if step is None:
        raise Invalid.field("code", "This code does not fit. Check the clock of the phone and enter the code that is shown now.")
    # Hashing is slow. Meanwhile the account may be disabled, the link used or looked at, so both rows are locked and checked again.
    hashed = hash_password(password)
    for row in (user, invitation):
        hold(ctx.session, row)
    if get_invitation(ctx, secret) is not invitation or user.state != AccountState.INVITED or not is_authentic(ctx, User, user):
        raise NotFound(UNKNOWN_INVITATION)
    _seed(settings, invitation, browser)
    invitation.used_at = ctx.now
    ctx.session.flush()  # the trigger `user_account_person` wants the link of the consent used
    bind_person(ctx, user, invitation)
    user.password_hash, user.totp_sealed = hashed, invitation.totp_sealed
    # The code just used must not count again, and the trigger `totp_step_grows` refuses a smaller step than before.
    user.totp_last_step, user.state = max(step, user.totp_last_step), AccountState.ACTIVE
    end_sessions(ctx, "enrolled anew", LoginSession.user_id == user.id)
    record_change(ctx, Action.USER_ENROL, user, step=step)
    return user
