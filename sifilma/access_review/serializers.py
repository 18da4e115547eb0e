"""Convert accounts with their roles, API keys, reviews and their lines to the schemas of the API."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from sifilma.access_review.pages import AccessLine, KeyLine, ReviewLine, ReviewSummary
from sifilma.accounts.serializers import OrganisationOut, organisation_out
from sifilma.web.links import links


class HeldRoleOut(BaseModel):
    """A role that an account holds; `ends_at` only where it was given until a day."""

    role: str
    since: datetime
    ends_at: datetime | None


class AccountAccessOut(BaseModel):
    """Who may what, since when, last used. `dormant_since`: marked as unused."""

    id: UUID
    state: str
    username: str
    name: str
    organisation: OrganisationOut
    roles: list[HeldRoleOut]
    last_seen_at: datetime | None
    dormant_since: datetime | None
    created_at: datetime
    links: dict[str, str]


class KeyAccessOut(BaseModel):
    """An API key with who made it; an empty name: a command."""

    id: UUID
    state: str
    name: str
    prefix: str
    organisation_id: UUID
    organisation: str
    created_by: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class ReviewOut(BaseModel):
    """A review of an organisation's accounts, and how many were decided how."""

    id: UUID
    state: str
    organisation_id: UUID
    organisation: str
    opened_at: datetime
    due_at: datetime
    ends_at: datetime
    closed_at: datetime | None
    confirmed: int
    ended: int
    lapsed: int
    waiting: int
    links: dict[str, str]


class ReviewLineOut(BaseModel):
    """An account in a review. `roles` are those that were decided on; without an `outcome`, those of now."""

    id: UUID
    user_id: UUID
    username: str
    name: str
    state: str
    roles: list[str]
    last_seen_at: datetime | None
    outcome: str | None
    decided_at: datetime | None
    decided_by: str
    act: UUID | None


def account_out(line: AccessLine) -> AccountAccessOut:
    """Return an account with its roles."""
    return AccountAccessOut(
        id=line.user.id,
        state=line.user.state,
        username=line.user.username,
        name=line.user.person.name,
        organisation=organisation_out(line.user.organisation),
        roles=[HeldRoleOut(role=role.role, since=role.since, ends_at=role.ends_at) for role in line.roles],
        last_seen_at=line.last_seen,
        dormant_since=line.dormant,
        created_at=line.user.created_at,
        links=links("users", line.user.id),
    )


def key_out(line: KeyLine) -> KeyAccessOut:
    """Return an API key by its first characters."""
    return KeyAccessOut(
        id=line.key.id,
        state="revoked" if line.key.revoked_at else "active",
        name=line.key.name,
        prefix=line.key.prefix,
        organisation_id=line.key.organisation_id,
        organisation=line.organisation,
        created_by=line.creator,
        created_at=line.key.created_at,
        last_used_at=line.key.last_used_at,
        expires_at=line.key.expires_at,
        revoked_at=line.key.revoked_at,
    )


def review_out(summary: ReviewSummary) -> ReviewOut:
    """Return a review with its counts."""
    review = summary.review
    return ReviewOut(
        id=review.id,
        state=summary.state,
        organisation_id=review.organisation_id,
        organisation=summary.organisation,
        opened_at=review.opened_at,
        due_at=review.due_at,
        ends_at=review.ends_at,
        closed_at=review.closed_at,
        confirmed=summary.confirmed,
        ended=summary.ended,
        lapsed=summary.lapsed,
        waiting=summary.waiting,
        links=links("access-reviews", review.id, lines="lines", decisions="decisions"),
    )


def line_out(one: ReviewLine) -> ReviewLineOut:
    """Return an account in a review."""
    return ReviewLineOut(
        id=one.line.id,
        user_id=one.line.user_id,
        username=one.account.user.username,
        name=one.account.user.person.name,
        state=one.account.user.state,
        roles=one.role_names.split(),
        last_seen_at=one.account.last_seen,
        outcome=one.line.outcome,
        decided_at=one.line.decided_at,
        decided_by=one.who,
        act=one.line.act_id,
    )
