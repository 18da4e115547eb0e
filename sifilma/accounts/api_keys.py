"""Create, list and revoke the API keys of an organisation."""

from __future__ import annotations

import secrets
from uuid import UUID

from sqlalchemy import select

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import (
    ApiKey,
)
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Listing
from sifilma.sign_in.authentication import secret_hash


def create_api_key(ctx: Context, organisation_id: UUID, name: str) -> tuple[ApiKey, str]:
    """Make an API key of 256 random bits. Return its row and the key itself, of which only the SHA-256 is stored."""
    secret = f"sf_{secrets.token_urlsafe(32)}"
    key = ApiKey(
        id=uuid7(),
        organisation_id=organisation_id,
        name=name.strip()[:100],
        prefix=secret[:8],
        key_hash=secret_hash(secret),
        created_by=ctx.actor.user_id,
        created_at=ctx.now,
    )
    ctx.session.add(key)
    record(ctx, Action.API_KEY_CREATE, "api_key", key.id, organisation_id=organisation_id)
    return key, secret


def list_api_keys(ctx: Context) -> Listing[ApiKey]:
    """Return the keys of the actor's organisation, as a query to be paged."""
    return select(ApiKey).where(ApiKey.organisation_id == ctx.actor.organisation_id), ApiKey.id


def api_keys(ctx: Context) -> list[ApiKey]:
    """Return all keys of the actor's organisation, oldest first."""
    query, key = list_api_keys(ctx)
    return list(ctx.session.scalars(query.order_by(key)))


def revoke_api_key(ctx: Context, key_id: UUID) -> ApiKey:
    """Revoke a key of the actor's organisation. Raise NotFound for any other. A key that is revoked already keeps its time."""
    key = ctx.session.get(ApiKey, key_id)
    if key is None or key.organisation_id != ctx.actor.organisation_id:
        raise NotFound()
    key.revoked_at = key.revoked_at or ctx.now
    record(ctx, Action.API_KEY_REVOKE, "api_key", key.id)
    return key
