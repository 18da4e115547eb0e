"""Invariants of who may what: temporary roles, and the reviews in which people are confirmed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from sqlalchemy import select

from sifilma.access_review.models import AccessReviewLine, Outcome
from sifilma.access_review.service import digest_of
from sifilma.audit.models import Action, AuditEntry
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import Broken, Snapshot, broken

APPROVALS = ("personalisation_approval", "activation_approval", "destruction_approval", "model_case_approval")
_COUNTED = "r.since <= a.at AND (r.until IS NULL OR r.until >= a.at) AND (r.ends_at IS NULL OR r.ends_at > a.at)"
_OF_APPROVER = "SELECT 1 FROM user_role r WHERE r.user_id = a.user_id AND r.role = 'approver'"


@in_snapshot("role-end", "A temporary role was given by two persons until a day, and counts no longer than to its end.")
def role_end(now: Snapshot) -> Found:
    """Compare temporary roles with the proposals that gave them, and approvals with the roles of who approved."""
    yield from now.find(
        "user",
        "SELECT r.user_id AS id, r.role FROM user_role r WHERE r.ends_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM user_change c WHERE"
        " c.user_id = r.user_id AND c.change = 'deputy' AND c.state = 'executed' AND c.roles = r.role AND c.ends_at = r.ends_at)",
        "has the role {role} until a day that no executed proposal names",
    )
    yield from now.find(
        "user",
        "SELECT r.user_id AS id, r.role FROM user_role r WHERE r.until > r.ends_at",
        "held the role {role} longer than to its end",
    )
    for table in APPROVALS:
        yield from now.find(
            "user",
            f"SELECT a.user_id AS id, a.id AS approval FROM {table} a WHERE EXISTS ({_OF_APPROVER} AND r.ends_at <= a.at)"
            f" AND NOT EXISTS ({_OF_APPROVER} AND {_COUNTED})",
            "approved after the role had come to its end ({approval})",
        )


@in_snapshot("access-review", "Each account in a review is decided once, by another person, and the entry says what was decided.")
def access_review(now: Snapshot) -> Found:
    """Compare lines with the accounts, the reviews and the digests in the audit entries."""
    yield from now.find(
        "access_review_line",
        "SELECT l.id FROM access_review_line l JOIN user_account u ON u.id = l.user_id WHERE u.person_id = l.decided_by_person",
        "was decided by the person whose account it is",
    )
    yield from now.find(
        "access_review",
        "SELECT DISTINCT v.id FROM access_review v JOIN access_review_line l ON l.review_id = v.id"
        " WHERE v.closed_at IS NOT NULL AND l.outcome IS NULL",
        "is closed, and an account in it is not decided",
    )
    yield from now.find(
        "access_review_line",
        "SELECT l.id FROM access_review_line l JOIN user_account u ON u.id = l.user_id JOIN access_review v ON v.id = l.review_id"
        " WHERE u.organisation_id <> v.organisation_id",
        "is an account of another organisation than its review",
    )
    yield from _digests(now)


def _digests(now: Snapshot) -> Iterator[Broken]:
    columns = (AccessReviewLine.act_id, AccessReviewLine.id, AccessReviewLine.roles, AccessReviewLine.outcome)
    decided = (
        select(*columns, AuditEntry.action, AuditEntry.data)
        .outerjoin(AuditEntry, AuditEntry.id == AccessReviewLine.act_id)
        .where(AccessReviewLine.outcome.in_((Outcome.CONFIRMED, Outcome.ENDED)))
        .order_by(AccessReviewLine.act_id, AccessReviewLine.id)
    )
    for _act, group in groupby(now.rows(decided), key=lambda row: row.act_id):
        lines: list[Any] = list(group)
        first = lines[0]
        told = (first.data or {}).get("digest") if first.action == Action.ACCESS_REVIEW_DECIDE else None
        if told != digest_of((line.id, line.roles, line.outcome) for line in lines):
            yield broken("access_review_line", first.id, "and those decided with it are not what the audit entry says")
