"""Decide on the accounts in a review: confirm them, or end them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import rfc8785
from sqlalchemy import select

from sifilma.access_review.models import AccessReview, AccessReviewLine, Outcome
from sifilma.access_review.queries import get_review, undecided
from sifilma.accounts import service as accounts
from sifilma.accounts.models import UserChange
from sifilma.accounts.proposals import propose_change
from sifilma.approvals.models import ProposalState
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.models import AccountState, User, role_names
from sifilma.identity.permissions import Operation
from sifilma.kernel.actor import OrganisationKind, Role
from sifilma.kernel.context import Act, Context
from sifilma.kernel.db import hold
from sifilma.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from sifilma.kernel.text import say

OWN = say("Nobody confirms their own account: another person does.")
REASON = "access review"


@dataclass(frozen=True)
class Decision:
    """What is decided of one line of a review. `roles` are those that the person saw."""

    line_id: UUID
    outcome: Outcome
    roles: frozenset[Role]


def decide(ctx: Context, review_id: UUID, decisions: Sequence[Decision]) -> AccessReview:
    """Confirm or end accounts of a review, in one act. The last decision closes the review. Return it.

    An ended account of an office is disabled at once; for a central one its disabling is proposed to a second user administrator. Raise
    NotFound outside the actor's scope, Invalid without a decision or with two of one account, Forbidden for another organisation's accounts
    and (`four-eyes`) for the actor's own, and Conflict if the review is closed, a line is decided, or the roles are not those that were
    seen.
    """
    review = get_review(ctx, review_id, Operation.ACCESS_REVIEW)
    if not decisions:
        raise Invalid("Decide on at least one account.")
    if len({one.line_id for one in decisions}) < len(decisions):
        raise Invalid("One account is decided on twice.")
    hold(ctx.session, review)
    if review.organisation_id != ctx.actor.organisation_id:
        raise Forbidden("The head of the organisation confirms these accounts.", type="not-head")
    if review.closed_at is not None:
        raise Conflict("This review is closed.")
    found = [_decided(ctx, review, decision) for decision in decisions]
    facts = _facts(decisions)
    act = record(ctx, Action.ACCESS_REVIEW_DECIDE, "access_review", review.id, organisation_id=review.organisation_id, **facts)
    for (line, user), decision in zip(found, decisions, strict=True):
        _settle(ctx, line, user, decision.outcome, act)
        if decision.outcome is Outcome.ENDED:
            _end(ctx, user)
    close_if_done(ctx, review)
    return review


def _decided(ctx: Context, review: AccessReview, decision: Decision) -> tuple[AccessReviewLine, User]:
    """Return line and account of a decision that may be made."""
    line = ctx.session.get(AccessReviewLine, decision.line_id)
    if line is None or line.review_id != review.id:
        raise NotFound()
    user = ctx.session.get_one(User, line.user_id)
    if user.person_id == ctx.actor.person_id:
        raise Forbidden(OWN, type="four-eyes")
    if line.outcome is not None:
        raise Conflict("This account was decided on already. Look again.", type="decided")
    if decision.roles != user.roles_at(ctx.now):
        raise Conflict("The roles of an account were changed meanwhile. Look again.", type="not-what-was-seen")
    return line, user


def _facts(decisions: Sequence[Decision]) -> dict[str, Any]:
    """Return what the entry says: counts, and the digest of the list, which stands in the lines."""
    digest = digest_of((one.line_id, role_names(one.roles), str(one.outcome)) for one in decisions)
    return {"digest": digest, **Counter(str(one.outcome) for one in decisions)}


def digest_of(decided: Iterable[tuple[UUID, str, str]]) -> str:
    """Return the SHA-256 (hex) of what was decided in one act: line, roles, outcome."""
    return hashlib.sha256(rfc8785.dumps(sorted([str(line_id), roles, outcome] for line_id, roles, outcome in decided))).hexdigest()


def _settle(ctx: Context, line: AccessReviewLine, user: User, outcome: Outcome, act: Act) -> None:
    line.roles, line.outcome, line.decided_at = role_names(user.roles_at(ctx.now)), str(outcome), ctx.now
    line.decided_by_person, line.act_id = ctx.actor.person_id, act.id
    ctx.session.flush()


def _end(ctx: Context, user: User) -> None:
    if user.state == AccountState.DISABLED:
        return
    if user.organisation.kind != OrganisationKind.DIRECTORATE:
        accounts.set_disabled(ctx, user, True, REASON)
        return
    waits = select(UserChange.id).where(UserChange.user_id == user.id, UserChange.state == ProposalState.PROPOSED)
    if ctx.session.scalar(waits) is None:
        propose_change(ctx, user, "disable", reason=REASON)


def lapse(ctx: Context, line: AccessReviewLine, user: User, act: Act) -> None:
    """Note that nobody decided on an account in time, as the system's act."""
    _settle(ctx, line, user, Outcome.LAPSED, act)


def close_if_done(ctx: Context, review: AccessReview) -> None:
    """Close a review in which each account is decided."""
    left = select(AccessReviewLine.id).where(AccessReviewLine.review_id == review.id, undecided()).limit(1)
    if ctx.session.scalar(left) is None:
        review.closed_at = ctx.now
        ctx.session.flush()
