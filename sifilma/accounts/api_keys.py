"""Create, list, change and revoke the API keys of an organisation."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import ApiKey, Organisation
from sifilma.identity.permissions import scopes_for
from sifilma.kernel.actor import KeyScope
from sifilma.kernel.context import Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Listing
from sifilma.kernel.text import say
from sifilma.sign_in.authentication import secret_hash


@dataclass(frozen=True)
class KeyTerms:
    """What a key may be used for, and from where. Without addresses (networks in CIDR) it is taken from any.

    No scopes mean all that open anything for keys of the organisation.
    """

    scopes: frozenset[KeyScope] = frozenset()
    addresses: frozenset[str] = frozenset()

    def stored(self, kind: str) -> dict[str, str]:
        """Return both as `ApiKey` stores them: sorted, separated by spaces. `kind` is that of the organisation.

        Raise Invalid for scopes that open nothing for its keys.
        """
        possible = scopes_for(kind)
        if not self.scopes <= set(possible):
            raise Invalid.field("scopes", "Keys of this organisation cannot be used for all of that.")
        return {"scopes": _joined(self.scopes or possible), "addresses": _joined(self.addresses)}


def _joined(names: Iterable[str]) -> str:
    return " ".join(sorted(names))


def create_api_key(
    ctx: Context, settings: Settings, organisation_id: UUID, name: str, terms: KeyTerms | None = None, days: int | None = None
) -> tuple[ApiKey, str]:
    """Make an API key of 256 random bits. Return its row and the key itself, of which only the SHA-256 is stored.

    It expires after `days`, by default `settings.api_key_days`. Raise Invalid for more days than these, and for scopes that open nothing
    for keys of the organisation.
    """
    if days is not None and days > settings.api_key_days:
        raise Invalid.field("days", say("A key lasts %(most)s days at most.", most=settings.api_key_days))
    secret = f"sf_{secrets.token_urlsafe(32)}"
    key = ApiKey(
        id=uuid7(),
        organisation_id=organisation_id,
        name=name.strip()[:100],
        prefix=secret[:8],
        key_hash=secret_hash(secret),
        created_by=ctx.actor.user_id,
        created_at=ctx.now,
        expires_at=ctx.now + timedelta(days=days or settings.api_key_days),
        **(terms or KeyTerms()).stored(_kind_of(ctx, organisation_id)),
    )
    ctx.session.add(key)
    record(ctx, Action.API_KEY_CREATE, "api_key", key.id, organisation_id=organisation_id, **terms_of(key))
    ctx.session.flush()
    return key, secret


def _kind_of(ctx: Context, organisation_id: UUID) -> str:
    return ctx.session.get_one(Organisation, organisation_id).kind


def terms_of(key: ApiKey) -> dict[str, Any]:
    """Return what audit entries tell of a key, and what `sifilma fsck` compares it with: scopes, addresses, last second (since 1970)."""
    return {"scopes": key.scopes, "addresses": key.addresses, "expires": int(key.expires_at.timestamp())}


def list_api_keys(ctx: Context) -> Listing[ApiKey]:
    """Return the keys of the actor's organisation, as a query to be paged."""
    return select(ApiKey).where(ApiKey.organisation_id == ctx.actor.organisation_id), ApiKey.id


def api_keys(ctx: Context) -> list[ApiKey]:
    """Return all keys of the actor's organisation, oldest first."""
    query, key = list_api_keys(ctx)
    return list(ctx.session.scalars(query.order_by(key)))


def get_api_key(ctx: Context, key_id: UUID) -> ApiKey:
    """Return a key of the actor's organisation. Raise NotFound for any other."""
    key = ctx.session.get(ApiKey, key_id)
    if key is None or key.organisation_id != ctx.actor.organisation_id:
        raise NotFound()
    return key


def state_of(ctx: Context, key: ApiKey) -> str:
    """Return `revoked`, `expired` or `active`."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at <= ctx.now else "active"


def change_api_key(ctx: Context, key_id: UUID, terms: KeyTerms) -> ApiKey:
    """Give a key other scopes and addresses, from its next request on. Its name and its last day stay.

    Raise NotFound for a key of another organisation, Conflict for one that is revoked or past its time, and Invalid for scopes that open
    nothing for keys of the organisation.
    """
    key = get_api_key(ctx, key_id)
    hold(ctx.session, key)
    if state_of(ctx, key) != "active":
        raise Conflict("A key that is revoked or has expired does not change any more: make a new one.", type="key-ended")
    for name, value in terms.stored(_kind_of(ctx, key.organisation_id)).items():
        setattr(key, name, value)
    record(ctx, Action.API_KEY_CHANGE, "api_key", key.id, **terms_of(key))
    ctx.session.flush()
    return key


def revoke_api_key(ctx: Context, key_id: UUID) -> ApiKey:
    """Revoke a key of the actor's organisation. Raise NotFound for any other. A key that is revoked already keeps its time."""
    key = get_api_key(ctx, key_id)
    key.revoked_at = key.revoked_at or ctx.now
    record(ctx, Action.API_KEY_REVOKE, "api_key", key.id)
    return key
