"""Invariants of four eyes: another person approves exactly what was submitted, holds the role, and confirms who may what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Integer, and_, cast, exists, func, select

from sifilma.access_review.models import AccessReviewLine, Outcome
from sifilma.access_review.service import digest_of
from sifilma.activation.models import ActivationRequest
from sifilma.activation.requests import service as activation
from sifilma.approvals.four_eyes import content_digest
from sifilma.audit.models import Action, AuditEntry
from sifilma.destruction import service as destruction
from sifilma.destruction.models import Destruction
from sifilma.destruction.queries import cards_of
from sifilma.fsck.dialects import bare, dashed, fact
from sifilma.fsck.registry import Found, in_snapshot
from sifilma.fsck.snapshot import FIRST, Broken, Snapshot, broken
from sifilma.kernel.context import Context
from sifilma.oversight import cases, reference
from sifilma.oversight.models import ModelCase, ReferenceChange
from sifilma.personalisation import service as personalisation
from sifilma.personalisation.models import PersonalisationRequest


@dataclass(frozen=True)
class Way:
    """One kind of object that is submitted and approved. `past` lists the states that only approvals lead to.

    `content` returns what the digest of the object is made of.
    """

    table: str
    approvals: str
    submit: str
    past: str
    model: Any
    content: Callable[[Context, Any], dict[str, Any]]


def _destruction_content(ctx: Context, found: Destruction) -> dict[str, Any]:
    return destruction.content(found, [card.uid for card in cards_of(ctx, found)])


WAYS = (
    Way("personalisation_request", "personalisation_approval", "personalisation.submit",
        "'approved', 'personalising', 'completed', 'closed'",
        PersonalisationRequest, personalisation.content),
    Way("activation_request", "activation_approval", "activation.submit", "'approved', 'completed', 'expired'",
        ActivationRequest, activation.content),
    Way("destruction", "destruction_approval", "destruction.propose", "'approved', 'executed', 'verified'",
        Destruction, _destruction_content),
    Way("model_case", "model_case_approval", "model_case.test", "'certified', 'reported'", ModelCase, cases.content),
)  # fmt: skip
_HUMAN = "CASE {p}.id_kind WHEN 'employee' THEN {p}.identity ELSE {p}.id_kind || ':' || {p}.id_number END"
"""The identity of a person, whatever account and row: two rows with the same NIP are the same person."""


def _human(alias: str) -> str:
    return _HUMAN.format(p=alias)


@in_snapshot("four-eyes", "Whoever submitted or proposed never approves, as a person.")
def four_eyes(now: Snapshot) -> Found:
    """Check requests, destructions, certificates, revocations, and changes of central accounts and of reference data."""
    for way in WAYS:
        yield from now.find(
            way.table,
            f"SELECT o.id FROM {way.table} o JOIN {way.approvals} a ON a.{way.table}_id = o.id"
            " JOIN person s ON s.id = o.submitted_by_person"
            f" JOIN person p ON p.id = a.person_id WHERE {_human('s')} = {_human('p')}",
            "was approved by the person who submitted it",
        )
    for table in ("revocation", "user_change", "reference_change", "unit_key_change", "personalisation_closing", "unit_correction"):
        yield from now.find(
            table,
            f"SELECT o.id FROM {table} o JOIN person s ON s.id = o.proposed_by_person LEFT JOIN person p ON p.id = o.decided_by_person"
            f" WHERE o.state = 'executed' AND (p.id IS NULL OR {_human('s')} = {_human('p')})",
            "was executed by nobody, or by the person who proposed it",
        )


@in_snapshot("approvals-enough", "What is approved has as many approvals of its present digest as it needs, by different persons.")
def enough(now: Snapshot) -> Found:
    """Count the approvals of the present digest by different persons. RW needs two."""
    for way in WAYS:
        given = (
            f"(SELECT COUNT(DISTINCT {_human('p')}) FROM {way.approvals} a JOIN person p ON p.id = a.person_id"
            f" WHERE a.{way.table}_id = o.id AND a.digest = o.digest)"
        )
        yield from now.find(
            way.table,
            f"SELECT o.id, o.state, o.required_approvals, {given} AS given FROM {way.table} o WHERE o.state IN ({way.past})"
            f" AND {given} < o.required_approvals",
            "is {state} with {given} of {required_approvals} approvals of what was submitted",
        )
    for table in ("personalisation_request", "activation_request"):
        yield from now.find(
            table, f"SELECT id FROM {table} WHERE function = 'RW' AND required_approvals < 2", "is for RW and asks for one approver only"
        )


@in_snapshot("approval-seen", "An approval binds a digest that was submitted: the record of acts has it, and has the approval.")
def seen(now: Snapshot) -> Found:
    """Check also the approvals of an earlier submission that was returned since."""
    entry = bare("audit_entry")
    for way in WAYS:
        given = bare(way.approvals)
        same = and_(entry.c.object_id == dashed(given.c[f"{way.table}_id"]), fact(entry.c.data, "digest") == given.c.digest)
        yield from now.find(
            way.approvals,
            select(given.c.id).where(~exists().where(entry.c.object_kind == way.table, entry.c.action == way.submit, same)),
            "is of a digest that was never submitted",
        )
        yield from now.find(
            way.approvals,
            select(given.c.id)
            .outerjoin(entry, and_(entry.c.id == given.c.act_id, entry.c.person_id == given.c.person_id, same))
            .where(entry.c.id.is_(None)),
            "is not the approval its audit entry records",
        )


@in_snapshot("approver-account", "An approval was given with an account of its person, of the directorate.")
def account(now: Snapshot) -> Found:
    """Check that account and person belong together: an approval is a person's act, given with an account."""
    for way in WAYS:
        yield from now.find(
            way.approvals,
            f"SELECT a.id FROM {way.approvals} a LEFT JOIN user_account u ON u.id = a.user_id AND u.person_id = a.person_id"
            " LEFT JOIN organisation g ON g.id = u.organisation_id AND g.kind = 'directorate' WHERE g.id IS NULL",
            "was given with an account that is not its person's, or not the directorate's",
        )


@in_snapshot("submitted-content", "What was submitted is still what its digest says.")
def submitted_content(now: Snapshot) -> Found:
    """Compute each digest again and compare it with the stored one. Objects that may be edited again are left out."""
    ctx = now.context()
    for way in WAYS:
        after = FIRST
        # Drafts, returned and cancelled requests may be edited, so their content need not match.
        bound = (way.model.digest.is_not(None), way.model.state.not_in(("draft", "returned", "cancelled")))
        while rows := list(ctx.session.scalars(select(way.model).where(way.model.id > after, *bound).order_by(way.model.id).limit(50))):
            for row in rows:
                if content_digest(way.content(ctx, row)) != row.digest:
                    yield broken(way.table, row.id, "is not what was submitted: its content has another digest")
            after = rows[-1].id
            ctx.session.expunge_all()
    ctx.uow.close()


@in_snapshot("proposed-rows", "A change of reference data holds the rows that were proposed: its digest and the record of acts say so.")
def proposed_rows(now: Snapshot) -> Found:
    """Compare the rows with the digest of the proposal, which the person who executes it has seen."""
    ctx, after = now.context(), FIRST
    query = select(ReferenceChange).order_by(ReferenceChange.id).limit(50)
    while rows := list(ctx.session.scalars(query.where(ReferenceChange.id > after))):
        for row in rows:
            if content_digest(reference.body(row)) != row.digest or len(row.content["rows"]) != row.count:
                yield broken("reference_change", row.id, "does not hold the rows its digest was made of")
        after = rows[-1].id
        ctx.session.expunge_all()
    ctx.uow.close()
    change, entry = bare("reference_change"), bare("audit_entry")
    proposed = exists().where(
        entry.c.object_kind == "reference_change",
        entry.c.object_id == dashed(change.c.id),
        entry.c.action == "reference.propose",
        fact(entry.c.data, "digest") == change.c.digest,
    )
    yield from now.find(
        "reference_change",
        select(change.c.id).where(~proposed),
        "has a digest that was never proposed",
    )


# --- who may what ----------------------------------------------------------------------------------------------------

APPROVALS = ("personalisation_approval", "activation_approval", "destruction_approval", "model_case_approval")
_COUNTED = "r.since <= a.at AND (r.until IS NULL OR r.until >= a.at) AND (r.ends_at IS NULL OR r.ends_at > a.at)"
_OF_APPROVER = "SELECT 1 FROM user_role r WHERE r.user_id = a.user_id AND r.role = 'approver'"


@in_snapshot("role-end", "A temporary role was given by two persons until a day, and counts no longer than to its end.")
def role_end(now: Snapshot) -> Found:
    """Compare temporary roles with the proposals that gave them, and approvals with the roles of who approved."""
    yield from now.find(
        "user",
        "SELECT r.user_id AS id, r.role FROM user_role r WHERE r.ends_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM user_change c WHERE"
        " c.user_id = r.user_id AND c.change IN ('deputy', 'succession') AND c.state = 'executed' AND c.roles = r.role"
        " AND c.ends_at = r.ends_at)",
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
    yield from _opened(now)
    yield from _digests(now)


def _opened(now: Snapshot) -> Iterator[Broken]:
    """What the entries of opening and lapsing say: a review that is planted as done, or loses a line, would confirm somebody."""
    review, line, entry = bare("access_review"), bare("access_review_line"), bare("audit_entry")
    lines = select(func.count()).where(line.c.review_id == review.c.id).scalar_subquery()
    about = and_(entry.c.object_kind == "access_review", entry.c.object_id == dashed(review.c.id))
    is_said = and_(about, entry.c.at == review.c.opened_at, cast(fact(entry.c.data, "count"), Integer) == lines)
    yield from now.find(
        "access_review",
        select(review.c.id).where(~exists().where(is_said, entry.c.action == str(Action.ACCESS_REVIEW_OPEN))),
        "was not opened at that moment over so many accounts",
    )
    by_time = exists().where(about, entry.c.id == line.c.act_id, entry.c.action == str(Action.ACCESS_REVIEW_LAPSE))
    yield from now.find(
        "access_review_line",
        select(line.c.id).join(review, review.c.id == line.c.review_id).where(line.c.outcome == str(Outcome.LAPSED), ~by_time),
        "lapsed, and no act let its review lapse",
    )


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
