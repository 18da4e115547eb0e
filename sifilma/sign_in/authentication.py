"""Find the actor behind a session cookie or an API key, in one query."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, update

from config.settings import Settings
from sifilma.identity.models import AccountState, ApiKey, LoginSession, Organisation, User, outlet_set, role_set, scope_set
from sifilma.kept_forms.models import KEEP
from sifilma.kernel.actor import Actor, OrganisationKind
from sifilma.kernel.addresses import is_within as is_within_networks
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Forbidden, Unauthenticated
from sifilma.kernel.seals import columns
from sifilma.kernel.statements.prepared import Prepared
from sifilma.kernel.timekeeping.moments import is_within
from sifilma.sign_in.authority import is_authentic

# How often `last_seen_at` and `last_used_at` are written. Every request would be a write otherwise.
SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Identity:
    """The result of authentication. `csrf` is None for an API key, since browsers do not send one by themselves.

    `addresses` are the networks to which an API key is bound (none: any), `used_at` is when its use was last noted.
    """

    actor: Actor
    csrf: str | None
    addresses: tuple[str, ...] = ()
    used_at: datetime | None = None


def cookie_name(settings: Settings) -> str:
    """Return the name of the session cookie. The prefix `__Host-` binds it to this host and needs https (RFC 6265bis, section 4.1.3)."""
    return "__Host-sifilma_session" if settings.https else "sifilma_session"


def secret_hash(secret: str) -> str:
    """Return the SHA-256 (hex) of a random secret of at least 128 bits. Cookies, links and keys are stored in this form."""
    return hashlib.sha256(secret.encode()).hexdigest()


def identify(ctx: Context, settings: Settings, key: str | None, cookie: str | None) -> Identity | None:
    """Return the identity behind a request, or None for ended or expired sessions, disabled accounts and revoked keys.

    A key, the one of an `Authorization: Bearer` header, excludes the cookie, even if it is empty or unknown. Raise Unauthenticated
    (`key-expired`) for a key past its time: whoever holds it learns why.
    """
    if key is not None:
        return _by_key(ctx, key) if key else None
    return _by_cookie(ctx, settings, cookie) if cookie else None


KEY_STATEMENT = Prepared(
    select(*columns(ApiKey), ApiKey.last_used_at, Organisation.kind, Organisation.region_code)
    .join(Organisation, Organisation.id == ApiKey.organisation_id)
    .where(ApiKey.revoked_at.is_(None), ApiKey.key_hash == bindparam("hash"))
)
SESSION_STATEMENT = Prepared(
    select(
        *columns(LoginSession, "s_"),
        LoginSession.last_seen_at,
        *columns(User, "u_"),
        Organisation.kind,
        Organisation.region_code,
    )
    .join(User, User.id == LoginSession.user_id)
    .join(Organisation, Organisation.id == User.organisation_id)
    .where(
        LoginSession.ended_at.is_(None),
        LoginSession.otp_at.is_not(None),
        User.state == AccountState.ACTIVE.value,
        LoginSession.token_hash == bindparam("hash"),
    )
)


def _by_key(ctx: Context, key: str) -> Identity | None:
    row = KEY_STATEMENT.first(ctx.session, {"hash": secret_hash(key)})
    if row is None or not is_authentic(ctx, ApiKey, row):
        return None
    if row.expires_at <= ctx.now:
        raise Unauthenticated("This API key has expired. A head of the organisation makes a new one.", type="key-expired")
    actor = Actor(
        organisation_id=row.organisation_id,
        organisation_kind=OrganisationKind(row.kind),
        region_code=row.region_code,
        api_key_id=row.id,
        username=f"key:{row.name}",
        ip=ctx.actor.ip,
        scopes=scope_set(row.scopes),
    )
    return Identity(actor, None, tuple(row.addresses.split()), row.last_used_at)


def admit_key(ctx: Context, found: Identity) -> None:
    """Note the use of an API key. Raise Forbidden (`address-not-allowed`) if it is used from an address outside its networks."""
    key_id = found.actor.api_key_id
    if key_id is None:
        return
    if found.addresses and not is_within_networks(found.actor.ip, found.addresses):
        raise Forbidden("This API key is not accepted from this address.", type="address-not-allowed")
    if found.used_at is None or not is_within(found.used_at, ctx.now, SEEN_EVERY):
        used = update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=ctx.now, last_used_ip=found.actor.ip)
        ctx.uow.separately(lambda session: session.execute(used))


def _by_cookie(ctx: Context, settings: Settings, cookie: str) -> Identity | None:
    row = SESSION_STATEMENT.first(ctx.session, {"hash": secret_hash(cookie)})
    if row is None or not _is_running(ctx, settings, row):
        return None
    if not is_within(row.last_seen_at, ctx.now, SEEN_EVERY):
        _touch(ctx, row.s_id)
    roles = role_set(row.u_roles, ctx.now)
    actor = Actor(
        organisation_id=row.u_organisation_id,
        organisation_kind=OrganisationKind(row.kind),
        region_code=row.region_code,
        user_id=row.u_id,
        person_id=row.u_person_id,
        session_id=row.s_id,
        username=row.u_username,
        roles=roles,
        outlets=outlet_set(row.u_outlets, roles),
        otp_at=row.s_otp_at,
        ip=ctx.actor.ip,
    )
    return Identity(actor, row.s_csrf)


def _is_running(ctx: Context, settings: Settings, row: Any) -> bool:
    """Return whether session and account are what the service wrote, belong together, and the session has not expired."""
    if expired(ctx.now, settings, row.s_created_at, row.last_seen_at):
        return False
    return (
        is_authentic(ctx, LoginSession, row, "s_")
        and is_authentic(ctx, User, row, "u_")
        and row.s_authority_version == row.u_authority_version
    )


def find_owner(ctx: Context, csrf: str) -> UUID | None:
    """Return the active account whose complete session, running or ended in the last days, has this CSRF token, or None."""
    of = (LoginSession.csrf == csrf, LoginSession.otp_at.is_not(None), LoginSession.last_seen_at >= ctx.now - KEEP)
    query = select(LoginSession.user_id).join(User, User.id == LoginSession.user_id).where(*of, User.state == AccountState.ACTIVE)
    return ctx.session.scalar(query)


def expired(now: datetime, settings: Settings, created_at: datetime, last_seen_at: datetime) -> bool:
    """Return whether a session has exceeded its idle time or its total time, or was begun by a clock that was ahead."""
    idle, whole = timedelta(minutes=settings.session_idle_minutes), timedelta(hours=settings.session_hours)
    return now - last_seen_at > idle or not is_within(created_at, now, whole)


def _touch(ctx: Context, session_id: object) -> None:
    """Note that the session is in use, in a transaction of its own: the request itself may only read."""
    now = ctx.now
    ctx.uow.separately(lambda session: session.execute(update(LoginSession).where(LoginSession.id == session_id).values(last_seen_at=now)))


def find_actor(ctx: Context, user_id: UUID | None, api_key_id: UUID | None) -> Actor | None:
    """Return the actor on whose behalf work continues after the request.

    Return None if the account is disabled, the key revoked or past its time, or its row not what the service wrote.
    """
    if user_id is not None:
        user = ctx.session.get(User, user_id, populate_existing=True)
        stands = user is not None and user.state == AccountState.ACTIVE and is_authentic(ctx, User, user)
        return _person(user, ctx.now) if user is not None and stands else None
    key = ctx.session.get(ApiKey, api_key_id, populate_existing=True)
    if key is None or key.revoked_at is not None or key.expires_at <= ctx.now or not is_authentic(ctx, ApiKey, key):
        return None
    organisation = ctx.session.get_one(Organisation, key.organisation_id)
    kind = OrganisationKind(organisation.kind)
    return Actor(organisation.id, kind, organisation.region_code, api_key_id=key.id, username=f"key:{key.name}", scopes=key.scope_set)


def _person(user: User, now: datetime) -> Actor:
    home = user.organisation
    kind = OrganisationKind(home.kind)
    roles = user.roles_at(now)
    limits = outlet_set(user.outlets, roles)
    return Actor(
        home.id, kind, home.region_code, user_id=user.id, person_id=user.person_id, username=user.username, roles=roles, outlets=limits
    )
