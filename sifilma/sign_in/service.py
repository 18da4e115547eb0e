"""Signing in (password, then second factor), step-up and signing out. Sessions are stored in the database."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.audit.service import record, record_in
from sifilma.identity.fields import user_name_plain
from sifilma.identity.models import AccountState, LoginSession, User
from sifilma.kernel.actor import Actor
from sifilma.kernel.addresses import network
from sifilma.kernel.context import Context
from sifilma.kernel.db import changed
from sifilma.kernel.errors import NotFound, Unauthenticated
from sifilma.kernel.seals import columns, sealer_of, stored
from sifilma.kernel.text import say
from sifilma.kernel.timekeeping.moments import SLACK
from sifilma.notifications.contract import Channel
from sifilma.sign_in import passkeys, recovery_codes, sent_codes, throttle, totp
from sifilma.sign_in.authentication import expired, find_actor, secret_hash
from sifilma.sign_in.authority import is_authentic
from sifilma.sign_in.passkeys import Site
from sifilma.sign_in.passwords import verify_password
from sifilma.sign_in.throttle import Slot

CHALLENGE = timedelta(minutes=5)
CHALLENGE_TRIES = 5
LAPSED = say("Sign in again: this sign-in has lapsed.")
REFUSED = say("User name, password or code is not right.")


@dataclass(frozen=True)
class SignedIn:
    """The new cookie, the session's CSRF token, and the user of the session."""

    cookie: str
    csrf: str
    user_id: UUID


def check_password(ctx: Context, username: str, password: str, agent: str) -> str:
    """Check the first step. Return the cookie of a session that still lacks its second factor.

    Raise Unauthenticated for any wrong pair, in the same time whether the user name exists or not, and TooMany when throttled.
    """
    username = account_name(username)
    place = network(ctx.actor.ip)
    limits = {f"password:{username}:{place}": throttle.PASSWORD, f"ip:{place}": throttle.ADDRESS}
    account = User.username == username
    slot, row = ctx.uow.at_once(lambda: (throttle.take(ctx.session, ctx.now, limits), stored(ctx.session, User, account)))
    if row is not None and not is_authentic(ctx, User, row):
        row = None
    # Hashing takes long, so no transaction is open during it.
    right = verify_password(row.password_hash if row else "", password)
    if row is None or not right or row.state != AccountState.ACTIVE:
        ctx.uow.separately(lambda session: _note_password(session, ctx, slot))
        raise Unauthenticated(REFUSED, type="sign-in-refused")
    ctx.uow.begin_write()
    throttle.give_back(ctx.session, slot)
    return _password_accepted(ctx, row, agent)[0]


def _password_accepted(ctx: Context, account: Any, agent: str) -> tuple[str, LoginSession]:
    """Store the session that waits for its second step. Return its cookie and the session."""
    cookie = secrets.token_urlsafe(32)
    pending = LoginSession(
        token_hash=secret_hash(cookie),
        user_id=account.id,
        csrf=secrets.token_urlsafe(24),
        created_at=ctx.now,
        last_seen_at=ctx.now,
        ip=ctx.actor.ip,
        agent=agent[:200],
        authority_version=account.authority_version,
    )
    ctx.session.add(pending)
    record(ctx, Action.SESSION_PASSWORD_ACCEPTED, "user", account.id)
    return cookie, pending


def _note_password(session: Session, ctx: Context, slot: Slot) -> None:
    throttle.note_block(session, ctx, slot)
    record_in(session, ctx, Action.SESSION_PASSWORD_REFUSED, "user", "-")


def check_otp(ctx: Context, settings: Settings, cookie: str | None, code: str) -> SignedIn:
    """Check the second step by a code. Return a new cookie for a complete session.

    Raise Unauthenticated if the sign-in has expired or the code is wrong, and TooMany when throttled.
    """
    pending, slot = ctx.uow.at_once(lambda: _claim_try(ctx, cookie))
    user = _account_of(ctx, pending)
    return _begin(ctx, pending, user, **_require_code(ctx, settings, user, code, pending.id, slot))


def check_passkey(ctx: Context, site: Site, cookie: str | None, credential: dict[str, Any]) -> SignedIn:
    """Check the second step by a passkey. Raise as `check_otp` does, and Conflict if the challenge has expired."""
    pending, slot = ctx.uow.at_once(lambda: _claim_try(ctx, cookie))
    user = _account_of(ctx, pending)
    _require_passkey(ctx, site, user, pending.id, credential, slot)
    return _begin(ctx, pending, user, factor="passkey")


def begin_enrolled(ctx: Context, user: User, agent: str) -> SignedIn:
    """Sign in whoever has just taken up an account, in the transaction that accepted its new password and authenticator's code.

    The two steps leave what they leave at every sign-in. Raise Unauthenticated for an account that is not in use.
    """
    if user.state != AccountState.ACTIVE:
        raise Unauthenticated(REFUSED, type="sign-in-refused")
    _, pending = _password_accepted(ctx, user, agent)
    ctx.session.flush()
    return _begin(ctx, pending, _account_of(ctx, pending), step=user.totp_last_step)


def _account_of(ctx: Context, pending: Any) -> User:
    """Return the account of a sign-in that waits for its second step. Raise Unauthenticated if it changed meanwhile or is not sealed."""
    user = ctx.session.get_one(User, pending.user_id)
    if not is_authentic(ctx, User, user) or user.authority_version != pending.authority_version:
        raise Unauthenticated(LAPSED, type="challenge-lapsed")
    return user


def _begin(ctx: Context, pending: Any, user: User, **how: Any) -> SignedIn:
    """Complete the session and give it a new cookie. `how` (which second factor) is recorded."""
    session_id, new_cookie, csrf = pending.id, secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    values = {"token_hash": secret_hash(new_cookie), "csrf": csrf, "otp_at": ctx.now}
    # Conditional, so that two requests with two right codes cannot both complete it.
    if not _renew(ctx, pending, values, LoginSession.otp_at.is_(None), LoginSession.ended_at.is_(None)):
        raise Unauthenticated(REFUSED, type="otp-refused")
    throttle.forgive(ctx.session, f"otp:{user.id}", f"password:{user.username}:{network(ctx.actor.ip)}")
    record(as_user(ctx, user, session_id), Action.SESSION_STARTED, "session", session_id, **how)
    return SignedIn(new_cookie, csrf, user.id)


def _renew(ctx: Context, row: Any, values: dict[str, Any], *where: Any) -> bool:
    """Change and seal a session that still has the seal of `row`. Return whether it was changed."""
    seal = sealer_of(ctx.session).seal(LoginSession, {name: getattr(row, name) for name in LoginSession.__sealed__} | values)
    renewed = (
        update(LoginSession)
        .where(LoginSession.id == row.id, LoginSession.seal == row.seal, *where)
        .values(**values, seal=seal, last_seen_at=ctx.now)
        .execution_options(synchronize_session=False)
    )
    return changed(ctx.session.execute(renewed)) == 1


def step_up(ctx: Context, settings: Settings, code: str) -> SignedIn:
    """Accept a fresh code in a running session. The session gets a new cookie, as after every authentication."""
    slot, user, session_id = _step_up_try(ctx)
    how = _require_code(ctx, settings, user, code, session_id, slot)
    throttle.give_back(ctx.session, slot)
    return _freshen(ctx, user, session_id, **how)


def step_up_by_passkey(ctx: Context, site: Site, credential: dict[str, Any]) -> SignedIn:
    """Accept a passkey as a fresh second factor. The session gets a new cookie."""
    slot, user, session_id = _step_up_try(ctx)
    _require_passkey(ctx, site, user, session_id, credential, slot)
    throttle.give_back(ctx.session, slot)
    return _freshen(ctx, user, session_id, factor="passkey")


def _step_up_try(ctx: Context) -> tuple[Slot, User, UUID]:
    """Take a slot for a second factor in the actor's session. Return it with the actor's account and session."""
    user_id, session_id = ctx.actor.user_id, ctx.actor.session_id
    assert session_id is not None  # noqa: S101  # the gate admits only sessions
    slot = throttle.admit(ctx, {f"otp:{user_id}": throttle.OTP})
    user = ctx.session.get_one(User, user_id)
    if not is_authentic(ctx, User, user):
        raise Unauthenticated()
    return slot, user, session_id


def _freshen(ctx: Context, user: User, session_id: UUID, **how: Any) -> SignedIn:
    new_cookie = secrets.token_urlsafe(32)
    row = stored(ctx.session, LoginSession, LoginSession.id == session_id)
    values = {"otp_at": ctx.now, "token_hash": secret_hash(new_cookie)}
    if row is None or not is_authentic(ctx, LoginSession, row) or not _renew(ctx, row, values):
        raise Unauthenticated(REFUSED, type="otp-refused")
    record(ctx, Action.SESSION_STEPPED_UP, "session", session_id, **how)
    return SignedIn(new_cookie, row.csrf, user.id)


def sign_out(ctx: Context, session_id: UUID, reason: str = "signed out") -> None:
    """End a session in the database. Its cookie is not accepted any more."""
    end_sessions(ctx, reason, LoginSession.id == session_id)
    record(ctx, Action.SESSION_ENDED, "session", session_id, reason=reason)


def get_own_session(ctx: Context, session_id: UUID | None = None) -> LoginSession:
    """Return a running session of the actor, the present one if none is named. Raise NotFound for any other."""
    found = ctx.session.get(LoginSession, session_id or ctx.actor.session_id)
    if found is None or found.user_id != ctx.actor.user_id or found.ended_at is not None:
        raise NotFound()
    return found


def running_sessions(ctx: Context, settings: Settings) -> list[LoginSession]:
    """Return all running sessions of the actor, newest first."""
    mine = (LoginSession.user_id == ctx.actor.user_id, LoginSession.ended_at.is_(None), LoginSession.otp_at.is_not(None))
    rows = ctx.session.scalars(select(LoginSession).where(*mine).order_by(LoginSession.id.desc()))
    return [row for row in rows if not expired(ctx.now, settings, row.created_at, row.last_seen_at)]


def end_sessions(ctx: Context, reason: str, *where: object) -> None:
    """End every running session that meets the conditions."""
    ctx.session.execute(
        update(LoginSession)
        .where(LoginSession.ended_at.is_(None), *where)  # type: ignore[arg-type]  # column expressions
        .values(ended_at=ctx.now, end_reason=reason, seal=None)
        .execution_options(synchronize_session=False)
    )


def _pending(ctx: Context, cookie: str | None) -> LoginSession:
    """Return the session that waits for its second step. Raise Unauthenticated if it has lapsed, or was tried too often."""
    found = ctx.session.scalars(select(LoginSession).where(*_waiting(ctx, cookie))).first()
    if found is None or not is_authentic(ctx, LoginSession, found):
        raise Unauthenticated(LAPSED, type="challenge-lapsed")
    return found


def _claim_try(ctx: Context, cookie: str | None) -> tuple[Any, Slot]:
    """Count one try of a sign-in that waits for its second step, and take the account's slot, before any code is looked at.

    Return the session (`seals.columns`). Raise as `_pending` and `throttle.take` do; the caller's transaction must then be rolled back.
    """
    claimed = (
        update(LoginSession)
        .where(*_waiting(ctx, cookie))
        .values(otp_tries=LoginSession.otp_tries + 1)
        .returning(*columns(LoginSession))
        .execution_options(synchronize_session=False)
    )
    found = ctx.session.execute(claimed).first()
    if found is None or not is_authentic(ctx, LoginSession, found):
        raise Unauthenticated(LAPSED, type="challenge-lapsed")
    return found, throttle.take(ctx.session, ctx.now, {f"otp:{found.user_id}": throttle.OTP})


def _waiting(ctx: Context, cookie: str | None) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of the session that waits for its second step behind a cookie."""
    return (
        LoginSession.token_hash == secret_hash(cookie or ""),
        LoginSession.otp_at.is_(None),
        LoginSession.ended_at.is_(None),
        LoginSession.created_at.between(ctx.now - CHALLENGE, ctx.now + SLACK),
        LoginSession.otp_tries < CHALLENGE_TRIES,
    )


def _require_code(ctx: Context, settings: Settings, user: User, code: str, session_id: UUID, slot: Slot) -> dict[str, Any]:
    """Accept a code of the authenticator, a sent code or a recovery code, each once ever. Return the facts to record.

    Raise Unauthenticated for any other code.
    """
    typed = totp.plain(code)
    step = _totp_step(ctx, settings, user, typed)
    if step is not None:
        return {"step": step}
    if sent_codes.accept(ctx, settings, session_id, typed):
        return {"factor": "sent code"}
    if recovery_codes.accept(ctx, settings, user.id, typed):
        record(as_user(ctx, user, session_id), Action.SESSION_RECOVERY_CODE, "user", user.id, left=recovery_codes.left(ctx, user.id))
        return {"factor": "recovery code"}
    # Read the id now: the rollback in `separately` expires the user.
    user_id = user.id
    ctx.uow.separately(lambda session: _note_otp(session, ctx, user_id, session_id, slot))
    raise Unauthenticated(REFUSED, type="otp-refused")


def _require_passkey(ctx: Context, site: Site, user: User, session_id: UUID, credential: dict[str, Any], slot: Slot) -> None:
    if user.state == AccountState.ACTIVE and passkeys.accept(ctx, site, user.id, session_id, credential):
        return
    user_id = user.id
    ctx.uow.separately(lambda session: _note_otp(session, ctx, user_id, session_id, slot))
    raise Unauthenticated("The passkey was not accepted.", type="otp-refused")


def passkey_options(ctx: Context, site: Site, cookie: str | None) -> str:
    """Return the options for a passkey (JSON) in a sign-in that waits for its second step."""
    pending = _pending(ctx, cookie)
    return passkeys.sign_in_options(ctx, site, pending.user_id, pending.id)


def has_passkey(ctx: Context, cookie: str | None) -> bool:
    """Return whether the account of a sign-in that waits for its second step has a passkey."""
    return bool(passkeys.of_user(ctx, _pending(ctx, cookie).user_id))


def has_recovery_codes(ctx: Context, cookie: str | None) -> bool:
    """Return whether the account of a sign-in that waits for its second step has unused recovery codes."""
    return recovery_codes.left(ctx, _pending(ctx, cookie).user_id) > 0


def account_name(typed: str) -> str:
    """Return the user name that somebody typed as accounts have it."""
    return user_name_plain(typed)[:60]


def prove_presence(ctx: Context, settings: Settings, username: str, code: str) -> Actor:
    """Return the actor whose authenticator shows this code now, for a command that persons confirm. The code is used up.

    Only codes of authenticators count, since they prove the time too. Raise Unauthenticated, without telling what is wrong, and TooMany.
    """
    user_id = ctx.session.scalar(select(User.id).where(User.username == account_name(username), User.state == AccountState.ACTIVE))
    if user_id is None:
        raise Unauthenticated(REFUSED, type="otp-refused")
    slot = throttle.admit(ctx, {f"otp:{user_id}": throttle.OTP})
    user = ctx.session.get_one(User, user_id)
    if not is_authentic(ctx, User, user) or _totp_step(ctx, settings, user, totp.plain(code)) is None:
        ctx.uow.separately(lambda session: throttle.note_block(session, ctx, slot, user_id))
        raise Unauthenticated(REFUSED, type="otp-refused")
    throttle.give_back(ctx.session, slot)
    found = find_actor(ctx, user_id, None)
    assert found is not None  # noqa: S101  # its account is active
    return found


def _totp_step(ctx: Context, settings: Settings, user: User, code: str) -> int | None:
    """Return the time step of an authenticator's code, or None if the code is wrong or its step was used before.

    One conditional UPDATE uses the step up. RFC 6238, section 5.2 requires it; pyotp alone accepts a code twice.
    """
    seed = totp.open_seed(settings, str(user.id), user.totp_sealed or b"")
    step = totp.matching_step(seed, code, ctx.now)
    if step is None:
        return None
    claimed = ctx.session.execute(
        update(User)
        .where(User.id == user.id, User.totp_last_step < step, User.state == AccountState.ACTIVE)
        .values(totp_last_step=step)
        .execution_options(synchronize_session=False)
    )
    return step if changed(claimed) == 1 else None


def send_code(ctx: Context, settings: Settings, cookie: str | None, channel: str) -> None:
    """Send the code for a sign-in that waits for its second step. Raise as `sent_codes.send` does."""
    pending = _pending(ctx, cookie)
    sent_codes.send(ctx, settings, _account_of(ctx, pending), pending.id, channel)


def code_ways(ctx: Context, settings: Settings, cookie: str | None) -> dict[Channel, str]:
    """Return where a code can be sent for a sign-in that waits for its second step: channel and masked address."""
    pending = _pending(ctx, cookie)
    return sent_codes.ways(settings, _account_of(ctx, pending))


def _note_otp(session: Session, ctx: Context, user_id: UUID, session_id: UUID, slot: Slot) -> None:
    throttle.note_block(session, ctx, slot, user_id)
    sent_codes.count_wrong(session, session_id)
    record_in(session, ctx, Action.SESSION_OTP_REFUSED, "user", user_id)


def as_user(ctx: Context, user: User, session_id: UUID) -> Context:
    """Return the context of the user whose sign-in has just succeeded. Until then the actor of the request is nobody."""
    actor = Actor(organisation_id=user.organisation_id, user_id=user.id, person_id=user.person_id, session_id=session_id, ip=ctx.actor.ip)
    return replace(ctx, actor=actor)
