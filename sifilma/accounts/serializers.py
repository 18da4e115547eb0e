"""Organisations and people as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from sifilma.identity.models import ApiKey, LoginSession, Organisation, User
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


class UserOut(BaseModel):
    """An account, as its head or a user administrator sees it."""

    id: UUID
    state: str
    username: str
    name: str
    roles: list[str]
    organisation: OrganisationOut
    links: dict[str, str]


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
    key: str | None = None
    links: dict[str, str]


def organisation_out(organisation: Organisation) -> OrganisationOut:
    """An organisation in full."""
    return OrganisationOut(id=organisation.id, name=organisation.name, kind=organisation.kind, region_code=organisation.region_code)


def party(organisation: Organisation) -> dict[str, Any]:
    """An organisation as a party of something."""
    return {"id": str(organisation.id), "name": organisation.name, "kind": organisation.kind}


def me_out(user: User) -> MeOut:
    """The signed-in person."""
    return MeOut(
        username=user.username, name=user.person.name, roles=sorted(user.role_set), organisation=organisation_out(user.organisation)
    )


def user_out(user: User) -> UserOut:
    """An account without contact data: those are shown only where they are needed."""
    return UserOut(
        id=user.id,
        state=user.state,
        username=user.username,
        name=user.person.name,
        roles=sorted(user.role_set),
        organisation=organisation_out(user.organisation),
        links=links("users", user.id),
    )


def session_out(row: LoginSession, this: UUID | None) -> SessionOut:
    """A session, and whether it is the one asking."""
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


def api_key_out(key: ApiKey, secret: str | None = None) -> ApiKeyOut:
    """A key by its first characters; the whole of it once, when it is made."""
    state = "revoked" if key.revoked_at else "active"
    return ApiKeyOut(
        id=key.id, state=state, name=key.name, prefix=key.prefix, created_at=key.created_at, key=secret, links=links("api-keys", key.id)
    )
