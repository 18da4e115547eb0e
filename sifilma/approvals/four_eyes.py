"""Four eyes: the rules that say whether a person may approve a request or execute a proposal (docs/domain.md, rules 1 and 2).

The rule of an approval stands here three times, because it is needed in three forms. `objection` checks one object that was read (services
and pages), `approvable` is a condition in SQL (queues), and `refused_approval` is the condition of a trigger (direct SQL). Each checks:

    the object waits for a decision             state
    the approved content is the submitted one   digest
    another person submitted it                 submitted_by_person
    no person approves a content twice          the approvals of that digest (in the database: a unique constraint)

The rule of a proposal is that a person other than its proposer executes it. It has the same three forms: `is_proposer`, `decidable` and
`NO_SECOND_PERSON`. `tests/approvals/test_four_eyes.py` compares the forms with each other.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any
from uuid import UUID

import rfc8785
from sqlalchemy import ColumnElement, and_, exists, false

from sifilma.approvals.models import ProposalState
from sifilma.identity.models import holds_sql
from sifilma.kernel import triggers
from sifilma.kernel.actor import Role

EDITABLE = ("draft", "returned")


class Objection(StrEnum):
    """Why a person may not approve an object as it stands."""

    NOT_WAITING = "not_waiting"
    OTHER_CONTENT = "other_content"
    SUBMITTER = "submitter"
    APPROVED = "approved"


def content_digest(content: dict[str, Any]) -> str:
    """Return the SHA-256 (hex) of the content in canonical JSON (RFC 8785), so that equal contents have equal digests."""
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


# --- may this person approve? ----------------------------------------------------------------------------------------


def objection(thing: Any, waiting: str, person_id: UUID | None, seen: str | None) -> Objection | None:
    """Return why this person may not approve the content with the digest `seen`, or None if they may.

    `thing` is of a class with Submitted and `approvals`; `waiting` is the state in which approvals are accepted. `person_id` is None for
    an API key and the system, which never approve.
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
    """Return `objection` as a condition in SQL: the rows of `model` that this person may approve as they stand (`seen` is their digest)."""
    if person_id is None:
        return false()
    another = model.submitted_by_person != person_id  # NULL, so not true, if nobody submitted
    return and_(model.state == waiting, model.digest.is_not(None), another, ~approved_by(model, approval, person_id))


def approved_by(model: Any, approval: Any, person_id: UUID | None) -> ColumnElement[bool]:
    """Return a condition in SQL: the rows of `model` whose present digest this person has approved."""
    parent = getattr(approval, f"{model.__tablename__}_id")
    return exists().where(parent == model.id, approval.digest == model.digest, approval.person_id == person_id)


def refused_approval(parent: str, waiting: str) -> str:
    """Return `objection` as the condition of a trigger on the approvals of `parent`.

    A unique constraint of that table refuses a second approval by the same person.
    """
    mismatch = "p.submitted_by_person = NEW.person_id OR p.submitted_by_person IS NULL OR p.digest IS DISTINCT FROM NEW.digest"
    return f"EXISTS (SELECT 1 FROM {parent} p WHERE p.id = NEW.{parent}_id AND (p.state <> '{waiting}' OR {mismatch}))"


# --- may this person execute a proposal? -----------------------------------------------------------------------------


def is_proposer(proposal: Any, person_id: UUID | None) -> bool:
    """Return whether this person cannot be the second person: they proposed it, or the actor is no person (`person_id` is None)."""
    return person_id is None or proposal.proposed_by_person == person_id


def decidable(model: Any, person_id: UUID | None) -> ColumnElement[bool]:
    """Return a condition in SQL: the waiting proposals of which this person can be the second person."""
    return false() if person_id is None else and_(model.state == ProposalState.PROPOSED, model.proposed_by_person != person_id)


def proposed_by(model: Any, person_id: UUID | None) -> ColumnElement[bool]:
    """Return a condition in SQL: the waiting proposals that this person made."""
    return and_(model.state == ProposalState.PROPOSED, model.proposed_by_person == person_id)


NO_SECOND_PERSON = "NEW.decided_by_person IS NULL OR NEW.decided_by_person = NEW.proposed_by_person"
"""`is_proposer` as the condition of a trigger on the table of proposals."""


# --- what the database refuses ---------------------------------------------------------------------------------------


def protect(
    parent: str, approvals: str, *, waiting: str, approved: str, content: tuple[str, ...], editable: tuple[str, ...] = EDITABLE
) -> None:
    """Register the rules for `parent` (with Submitted) and its `approvals` table (with Approval and `<parent>_id`).

    `waiting` is the state in which approvals are accepted, `approved` the state they lead to. The columns `content` change only while the
    state is one of `editable`.
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
        " AND u.state = 'active' AND " + holds_sql("u", Role.APPROVER, "NEW.at") + ")",
        f"{parent}: only an approver approves",
    )
    triggers.immutable(approvals)
    counted = f"SELECT COUNT(DISTINCT a.person_id) FROM {approvals} a WHERE a.{key} = NEW.id AND a.digest = NEW.digest"
    # Somebody with two accounts may approve a digest and later submit the same content: that approval does not count.
    counted += " AND a.person_id IS DISTINCT FROM NEW.submitted_by_person"
    triggers.guard(
        f"{parent}_enough",
        parent,
        "UPDATE",
        f"OLD.state <> NEW.state AND NEW.state = '{approved}' AND ({counted}) < NEW.required_approvals",
        f"{parent}: not enough approvals of what was submitted",
    )
    # Without editable states the list holds the empty text, since `IN ()` is not valid SQL.
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
    """Register the rule that rows of `part` (with `<parent>_id`) change only while the state of the parent is one of `editable`."""
    states = ", ".join(f"'{state}'" for state in editable)
    for event, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD")):
        triggers.guard(
            f"{part}_{event.lower()}",
            part,
            event,
            f"EXISTS (SELECT 1 FROM {parent} p WHERE p.id = {row}.{parent}_id AND p.state NOT IN ({states}))",
            f"{part}: what is submitted does not change",
            whole=event == "INSERT",
        )


def protect_proposal(table: str, *frozen: str, early: str = "") -> None:
    """Register the rules for a table of proposals.

    A second person executes, a decided proposal does not change any more, and the columns `frozen` never change. `early` is a state before
    `proposed`, in which nobody has proposed yet.
    """
    triggers.guard(
        f"{table}_second_person",
        table,
        "UPDATE",
        f"NEW.state = 'executed' AND ({NO_SECOND_PERSON})",
        f"{table}: decided by a second person",
    )
    decided = f"OLD.state <> '{ProposalState.PROPOSED}'" + (f" AND OLD.state <> '{early}'" if early else "")
    triggers.guard(f"{table}_decided", table, "UPDATE", decided, f"{table}: what is decided stays")
    if not early:
        triggers.immutable(table, *frozen, "proposed_by_person", "proposed_at")
        return
    triggers.immutable(table, *frozen)
    another = "OLD.proposed_by_person IS DISTINCT FROM NEW.proposed_by_person OR OLD.proposed_at IS DISTINCT FROM NEW.proposed_at"
    triggers.guard(f"{table}_proposer", table, "UPDATE", f"OLD.state <> '{early}' AND ({another})", f"{table}: its proposer stays")
