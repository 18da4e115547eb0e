"""Convert organisations, accounts, sessions and API keys to the schemas of the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from sifilma.accounts.api_keys import state_of
from sifilma.identity.models import ApiKey, LoginSession, Organisation, User, outlet_set, role_ends
from sifilma.kernel.context import Context
from sifilma.web.links import links


class OrganisationOut(BaseModel):
    """An organisation."""

    id: UUID
    name: str
    kind: str
    region_code: str | None


class MeOut(BaseModel):
    """Who is signed in."""

    username: str
    name: str
    roles: list[str]
    organisation: OrganisationOut
    roles_until: dict[str, datetime] = Field(default_factory=dict, description="The ends of temporary roles, by role.")
    outlets: list[UUID] = Field(default=[], description="The outlets to which the account is limited; empty: it is not.")


class UserOut(BaseModel):
    """An account, as its head or a user administrator sees it."""

    id: UUID
    state: str
    username: str
    name: str
    roles: list[str]
    organisation: OrganisationOut
    links: dict[str, str]
    roles_until: dict[str, datetime] = Field(default_factory=dict, description="The ends of temporary roles, by role.")
    outlets: list[UUID] = Field(default=[], description="The outlets to which the account is limited; empty: it is not.")


class SessionOut(BaseModel):
    """One running session of one's own."""

    id: UUID
    state: str
    created_at: datetime
    last_seen_at: datetime
    ip: str
    agent: str
    is_this: bool
    links: dict[str, str]


class ApiKeyOut(BaseModel):
    """A machine's key; `key` only in the answer that creates it."""

    id: UUID
    state: str
    name: str
    prefix: str
    created_at: datetime
    scopes: list[str]
    addresses: list[str]
    expires_at: datetime
    last_used_at: datetime | None
    last_used_ip: str
    key: str | None = None
    links: dict[str, str]


def organisation_out(organisation: Organisation) -> OrganisationOut:
    """Return an organisation with its region code."""
    return OrganisationOut(id=organisation.id, name=organisation.name, kind=organisation.kind, region_code=organisation.region_code)


def party(organisation: Organisation) -> dict[str, Any]:
    """Return an organisation as it is shown within another object: id, name and kind."""
    return {"id": str(organisation.id), "name": organisation.name, "kind": organisation.kind}


def me_out(user: User, now: datetime) -> MeOut:
    """Return the account of the signed-in person."""
    return MeOut(
        username=user.username,
        name=user.person.name,
        roles=sorted(user.roles_at(now)),
        organisation=organisation_out(user.organisation),
        roles_until=_ends(user, now),
        outlets=_limits(user),
    )


def user_out(user: User, now: datetime) -> UserOut:
    """Return an account without contact data, which are shown only where they are needed (docs/domain.md, rule 12)."""
    return UserOut(
        id=user.id,
        state=user.state,
        username=user.username,
        name=user.person.name,
        roles=sorted(user.roles_at(now)),
        organisation=organisation_out(user.organisation),
        links=links("users", user.id),
        roles_until=_ends(user, now),
        outlets=_limits(user),
    )


def _limits(user: User) -> list[UUID]:
    return sorted(outlet_set(user.outlets, frozenset()) or ())


def _ends(user: User, now: datetime) -> dict[str, datetime]:
    return {str(role): end for role, end in role_ends(user.roles, now).items()}


def session_out(row: LoginSession, this: UUID | None) -> SessionOut:
    """Return a session. `this` is the id of the session that asks."""
    return SessionOut(
        id=row.id,
        state="running",
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        ip=row.ip,
        agent=row.agent,
        is_this=row.id == this,
        links=links("sessions", row.id),
    )


def api_key_out(ctx: Context, key: ApiKey, secret: str | None = None) -> ApiKeyOut:
    """Return an API key by its first characters. `secret` is the whole key, which only the answer to its creation holds."""
    return ApiKeyOut(
        id=key.id,
        state=state_of(ctx, key),
        name=key.name,
        prefix=key.prefix,
        created_at=key.created_at,
        scopes=key.scopes.split(),
        addresses=key.addresses.split(),
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        last_used_ip=key.last_used_ip,
        key=secret,
        links=links("api-keys", key.id),
    )
