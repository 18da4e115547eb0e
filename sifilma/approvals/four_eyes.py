"""Four eyes, once for everybody who asks: may this person decide? (rules 1 and 2)

The rule of an approval is said three times, because three parties hold it. `objection` says it for the service and the screen, about
one thing that was read; `approvable` says it in SQL, for the queues; `refused_approval` says it as a trigger, for whoever writes SQL.

    the thing waits for a decision            state
    what is approved is what was submitted    digest
    a person submitted it, another approves   submitted_by_person
    nobody approves the same content twice    the approvals of that digest (in the database: a unique constraint)

The rule of a proposal, that another person than its proposer executes it, is said three times as well: `is_proposer`,
`decidable`, `NO_SECOND_PERSON`. `tests/approvals/test_four_eyes.py` holds the three against each other.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any
from uuid import UUID

import rfc8785
from sqlalchemy import ColumnElement, and_, exists, false

from sifilma.approvals.models import ProposalState
from sifilma.kernel import triggers

EDITABLE = ("draft", "returned")


class Objection(StrEnum):
    """Why a person may not approve a thing as it stands."""

    NOT_WAITING = "not_waiting"
    OTHER_CONTENT = "other_content"
    SUBMITTER = "submitter"
    APPROVED = "approved"


def content_digest(content: dict[str, Any]) -> str:
    """SHA-256 (hex) of the content in RFC 8785 form: the same content has the same digest, whoever computes it."""
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


# --- may this person approve? ----------------------------------------------------------------------------------------


def objection(thing: Any, waiting: str, person_id: UUID | None, seen: str | None) -> Objection | None:
    """The first thing that speaks against this person's approval of the content with the digest `seen`; None if nothing does.

    `thing` is of a class with Submitted and `approvals`; `waiting` is the state in which approvals are taken.
    """
    if thing.state != waiting:
        return Objection.NOT_WAITING
    if thing.digest is None or thing.digest != seen:
        return Objection.OTHER_CONTENT
    if person_id is None or thing.submitted_by_person in (None, person_id):
        return Objection.SUBMITTER
    if any(one.person_id == person_id and one.digest == thing.digest for one in thing.approvals):
        return Objection.APPROVED
    return None


def approvable(model: Any, approval: Any, waiting: str, person_id: UUID | None) -> ColumnElement[bool]:
    """The same in SQL: which rows of `model` this person may approve as they stand, that is, with `seen` their own digest."""
    if person_id is None:
        return false()
    another = model.submitted_by_person != person_id  # not true where nobody submitted
    return and_(model.state == waiting, model.digest.is_not(None), another, ~approved_by(model, approval, person_id))


def approved_by(model: Any, approval: Any, person_id: UUID | None) -> ColumnElement[bool]:
    """Which rows of `model` this person has approved as they stand."""
    parent = getattr(approval, f"{model.__tablename__}_id")
    return exists().where(parent == model.id, approval.digest == model.digest, approval.person_id == person_id)


def refused_approval(parent: str, waiting: str) -> str:
    """The same as the condition of a trigger on the approvals of `parent`; that nobody approves twice is a unique constraint there."""
    mismatch = "p.submitted_by_person = NEW.person_id OR p.submitted_by_person IS NULL OR p.digest IS DISTINCT FROM NEW.digest"
    return f"EXISTS (SELECT 1 FROM {parent} p WHERE p.id = NEW.{parent}_id AND (p.state <> '{waiting}' OR {mismatch}))"


# --- may this person execute a proposal? -----------------------------------------------------------------------------


def is_proposer(proposal: Any, person_id: UUID | None) -> bool:
    """Whether this person proposed it, and so is not the second person; who is nobody, never is."""
    return person_id is None or proposal.proposed_by_person == person_id


def decidable(model: Any, person_id: UUID | None) -> ColumnElement[bool]:
    """The same in SQL: the proposals that wait for a second person, and this person is another than their proposer."""
    return false() if person_id is None else and_(model.state == ProposalState.PROPOSED, model.proposed_by_person != person_id)


def proposed_by(model: Any, person_id: UUID | None) -> ColumnElement[bool]:
    """The proposals of this person that wait for a second one."""
    return and_(model.state == ProposalState.PROPOSED, model.proposed_by_person == person_id)


NO_SECOND_PERSON = "NEW.decided_by_person IS NULL OR NEW.decided_by_person = NEW.proposed_by_person"
"""The same in a trigger on the proposal."""


# --- what the database refuses ---------------------------------------------------------------------------------------


def protect(
    parent: str, approvals: str, *, waiting: str, approved: str, content: tuple[str, ...], editable: tuple[str, ...] = EDITABLE
) -> None:
    """Register the rules for `parent` (with Submitted) and its `approvals` table (with Approval and `<parent>_id`).

    `waiting` is the state in which approvals are taken, `approved` the state they lead to; `content` columns change
    only while the state is one of `editable`.
    """
    key = f"{parent}_id"
    triggers.guard(
        f"{approvals}_four_eyes",
        approvals,
        "INSERT",
        refused_approval(parent, waiting),
        f"{parent}: approved by the submitter, in the wrong state, or not what was seen",
    )
    triggers.guard(
        f"{approvals}_approver",
        approvals,
        "INSERT",
        "NOT EXISTS (SELECT 1 FROM user_account u WHERE u.id = NEW.user_id AND u.person_id = NEW.person_id"
        " AND u.state = 'active' AND u.roles LIKE '%approver%')",
        f"{parent}: only an approver approves",
    )
    triggers.immutable(approvals)
    counted = f"SELECT COUNT(DISTINCT a.person_id) FROM {approvals} a WHERE a.{key} = NEW.id AND a.digest = NEW.digest"
    counted += " AND a.person_id IS DISTINCT FROM NEW.submitted_by_person"  # they have two accounts
    triggers.guard(
        f"{parent}_enough",
        parent,
        "UPDATE",
        f"OLD.state <> NEW.state AND NEW.state = '{approved}' AND ({counted}) < NEW.required_approvals",
        f"{parent}: not enough approvals of what was submitted",
    )
    states = ", ".join(f"'{state}'" for state in editable) or "''"
    frozen = (*content, "required_approvals", "submitted_by_person", "digest")
    changed = " OR ".join(f"OLD.{c} IS DISTINCT FROM NEW.{c}" for c in frozen)
    triggers.guard(
        f"{parent}_content",
        parent,
        "UPDATE",
        f"OLD.state NOT IN ({states}) AND ({changed})",
        f"{parent}: what is submitted does not change",
    )


def protect_parts(part: str, parent: str, *, editable: tuple[str, ...] = EDITABLE) -> None:
    """Register: rows of `part` (with `<parent>_id`) come, change and go only while the parent may be edited."""
    states = ", ".join(f"'{state}'" for state in editable)
    for event, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD")):
        triggers.guard(
            f"{part}_{event.lower()}",
            part,
            event,
            f"EXISTS (SELECT 1 FROM {parent} p WHERE p.id = {row}.{parent}_id AND p.state NOT IN ({states}))",
            f"{part}: what is submitted does not change",
        )


def protect_proposal(table: str, *frozen: str) -> None:
    """Register the rules for a table of proposals: a second person executes, what is decided stays, `frozen` columns never change."""
    triggers.guard(
        f"{table}_second_person",
        table,
        "UPDATE",
        f"NEW.state = 'executed' AND ({NO_SECOND_PERSON})",
        f"{table}: decided by a second person",
    )
    triggers.guard(f"{table}_decided", table, "UPDATE", f"OLD.state <> '{ProposalState.PROPOSED}'", f"{table}: what is decided stays")
    triggers.immutable(table, *frozen, "proposed_by_person", "proposed_at")
