"""Which audit entries, and which requests that failed, an actor may read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Select, select

from sifilma.audit.models import AuditEntry
from sifilma.audit.proofs import places_of
from sifilma.identity.models import Organisation, User
from sifilma.identity.permissions import Operation, Scope, reach_of
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Context
from sifilma.kernel.errors import NotFound
from sifilma.kernel.paging import Listing
from sifilma.sign_in.models import FailedRequest
from sifilma.web.links import API


class EntryOut(BaseModel):
    """One act; `seq` is its place in the transparency log, null while it waits to be taken in.

    Who did it is an account's id: names and numbers are looked up only where they are needed.
    """

    id: UUID
    state: str = "recorded"
    seq: int | None
    at: datetime
    action: str
    object_kind: str
    object_id: str
    organisation_id: UUID | None
    user_id: UUID | None
    api_key_id: UUID | None
    request_id: str
    data: dict[str, Any]
    links: dict[str, str] = {}


class FailedRequestOut(BaseModel):
    """A request that was answered by an error. `route` is the pattern of its address; `error` the class of the exception behind it."""

    id: UUID
    request_id: str
    at: datetime
    status: int
    type: str
    error: str
    method: str
    route: str
    user_id: UUID | None
    api_key_id: UUID | None


@dataclass(frozen=True)
class Wanted:
    """A filter of entries. `object_id`, `action` and `username` match whole, `organisation` a part of the name; `until` is exclusive."""

    object_id: str = ""
    action: str = ""
    organisation: str = ""
    username: str = ""
    since: datetime | None = None
    until: datetime | None = None


def entries_query(ctx: Context) -> Select[AuditEntry]:
    """Return a query of the entries the actor may read: an auditor all, other central people their own, others their organisation's."""
    query = scoped(select(AuditEntry), ctx.actor, Operation.AUDIT_READ, AuditEntry.organisation_id)
    reach = reach_of(ctx.actor, Operation.AUDIT_READ)
    if ctx.actor.is_central and Scope.ALL not in reach:
        query = select(AuditEntry).where(AuditEntry.user_id == ctx.actor.user_id)
    return query


def list_entries(ctx: Context, wanted: Wanted) -> Listing[AuditEntry]:
    """Return the entries the actor may read that match the filter."""
    query = entries_query(ctx)
    if wanted.object_id:
        query = query.where(AuditEntry.object_id == wanted.object_id)
    if wanted.action:
        query = query.where(AuditEntry.action == wanted.action)
    if wanted.organisation:
        named = select(Organisation.id).where(Organisation.name.icontains(wanted.organisation, autoescape=True))
        query = query.where(AuditEntry.organisation_id.in_(named))
    if wanted.username:
        query = query.where(AuditEntry.user_id == select(User.id).where(User.username == wanted.username.casefold()).scalar_subquery())
    if wanted.since:
        query = query.where(AuditEntry.at >= wanted.since)
    return (query.where(AuditEntry.at < wanted.until) if wanted.until else query), AuditEntry.id


def get_entry(ctx: Context, entry_id: UUID) -> AuditEntry:
    """Return one entry. Raise NotFound if there is none in the actor's scope."""
    found = ctx.session.scalars(entries_query(ctx).where(AuditEntry.id == entry_id)).first()
    if found is None:
        raise NotFound()
    return found


def list_failures(ctx: Context, request_id: str = "", username: str = "") -> Listing[FailedRequest]:
    """Return the failed requests the actor may see, newest first, by the whole number and the whole user name; empty means any."""
    whose = select(FailedRequest).outerjoin(User, User.id == FailedRequest.user_id)
    query = scoped(whose, ctx.actor, Operation.FAILURE_SEE, User.organisation_id)
    if request_id:
        query = query.where(FailedRequest.request_id == request_id)
    if username:
        query = query.where(User.username == username.casefold())
    return query, FailedRequest.id


def failures_out(rows: list[FailedRequest]) -> list[FailedRequestOut]:
    """Return failed requests for the API."""
    return [FailedRequestOut(**{name: getattr(row, name) for name in FailedRequestOut.model_fields}) for row in rows]


def entries_out(ctx: Context, rows: list[AuditEntry]) -> list[EntryOut]:
    """Return entries for the API."""
    places = places_of(ctx, [entry.id for entry in rows])
    return [_entry_out(entry, places.get(entry.id)) for entry in rows]


def _entry_out(entry: AuditEntry, seq: int | None) -> EntryOut:
    return EntryOut(
        id=entry.id,
        seq=seq,
        at=entry.at,
        action=entry.action,
        object_kind=entry.object_kind,
        object_id=entry.object_id,
        organisation_id=entry.organisation_id,
        user_id=entry.user_id,
        api_key_id=entry.api_key_id,
        request_id=entry.request_id,
        data=entry.data,
        links={} if seq is None else {"proof": f"{API}/audit/{seq}/proof"},
    )
