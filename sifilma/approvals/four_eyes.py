"""Approvals: by somebody else, of exactly what was seen, enforced by the database (DOMAIN.md, rule 1 and 2)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

import rfc8785
from sqlalchemy import ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from sifilma.kernel import triggers
from sifilma.kernel.db import UtcDateTime
from sifilma.kernel.errors import Conflict
from sifilma.kernel.ids import uuid7

EDITABLE = ("draft", "returned")


class Submitted:
    """Columns of what somebody submits and others approve. `digest` is the SHA-256 (hex) of the content as submitted."""

    digest: Mapped[str | None] = mapped_column(String(64))
    required_approvals: Mapped[int] = mapped_column(Integer, default=1)
    submitted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @declared_attr
    @classmethod
    def submitted_by_person(cls) -> Mapped[UUID | None]:
        """The person who submitted: whoever it is, never approves."""
        return mapped_column(ForeignKey("person.id"))

    @declared_attr
    @classmethod
    def submitted_by_user(cls) -> Mapped[UUID | None]:
        """The account the person used."""
        return mapped_column(ForeignKey("user_account.id"))


class Approval:
    """Columns of one approval. It binds the digest its approver saw."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    digest: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(UtcDateTime)

    @declared_attr
    @classmethod
    def person_id(cls) -> Mapped[UUID]:
        """The person who approved."""
        return mapped_column(ForeignKey("person.id"))

    @declared_attr
    @classmethod
    def user_id(cls) -> Mapped[UUID]:
        """The account the person used."""
        return mapped_column(ForeignKey("user_account.id"))

    @declared_attr
    @classmethod
    def act_id(cls) -> Mapped[UUID]:
        """The audit entry of the approval."""
        return mapped_column(ForeignKey("audit_entry.id", deferrable=True, initially="DEFERRED"))


def content_digest(content: dict[str, Any]) -> str:
    """SHA-256 (hex) of the content in RFC 8785 form: the same content has the same digest, whoever computes it."""
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


def require_seen(actual: str | None, seen: str) -> None:
    """Refuse an approval of something else than what is there now. Conflict, type `digest-mismatch`."""
    if actual != seen:
        raise Conflict("What you saw is not what is there now: look again before approving.", type="digest-mismatch")


def protect(
    parent: str, approvals: str, *, waiting: str, approved: str, content: tuple[str, ...], editable: tuple[str, ...] = EDITABLE
) -> None:
    """Register the rules for `parent` (with Submitted) and its `approvals` table (with Approval and `<parent>_id`).

    `waiting` is the state in which approvals are taken, `approved` the state they lead to; `content` columns change
    only while the state is one of `editable`.
    """
    key = f"{parent}_id"
    mismatch = "p.submitted_by_person = NEW.person_id OR p.submitted_by_person IS NULL OR p.digest IS DISTINCT FROM NEW.digest"
    triggers.guard(
        f"{approvals}_four_eyes",
        approvals,
        "INSERT",
        f"EXISTS (SELECT 1 FROM {parent} p WHERE p.id = NEW.{key} AND (p.state <> '{waiting}' OR {mismatch}))",
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
