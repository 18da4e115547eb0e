"""What the witness knows and the database does not, as questions; and the people's decisions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from manifests.status import StatusValue
from sifilma.activation.models import Manifest, StatusList
from sifilma.activation.trust.models import StatusBeyond
from sifilma.approvals.service import require_note
from sifilma.audit.models import Action, AuditEntry
from sifilma.audit.service import record
from sifilma.cards.models import Card
from sifilma.kernel.context import Context
from sifilma.kernel.db import among, hold, upsert
from sifilma.kernel.errors import Conflict, Invalid, NotFound
from sifilma.kernel.ids import uuid7
from sifilma.kernel.paging import Listing
from sifilma.reconciliation.beyond import Beyond, papers_of
from sifilma.reconciliation.models import Decision, OpenQuestion
from sifilma.reconciliation.telling import ENDED_CARDS

LEFT_OUT = frozenset({"activation"})
"""Kinds that another one tells of: the manifest of an activation."""


def ask(ctx: Context, reconciliation_id: UUID, found: Beyond) -> int:
    """Store a question for each object of which the witness knows an act that the database lacks. Return how many there are."""
    items = [item for item in papers_of(found) if item["kind"] not in LEFT_OUT]
    known = _known(ctx.session, [UUID(item["entry"]) for item in items])
    for item in items:
        if UUID(item["entry"]) in known or (item["kind"] == "card" and _is_settled(ctx.session, item)):
            continue
        at = datetime.fromtimestamp(int(item["at"]), UTC)
        values = {"id": uuid7(), "reconciliation_id": reconciliation_id, "kind": item["kind"], "subject": item["id"], "told": item}
        new = upsert(ctx.session, OpenQuestion).values(**values, witnessed_at=at, reason="")
        ctx.session.execute(new.on_conflict_do_nothing(index_elements=["reconciliation_id", "kind", "subject"]))
    asked = select(func.count()).where(OpenQuestion.reconciliation_id == reconciliation_id)
    return ctx.session.scalar(asked) or 0


def _is_settled(session: Session, item: dict[str, Any]) -> bool:
    """Return whether nothing is to be asked about a card: it is here, and what is told of it is not that it fell, or it fell again."""
    if "uid" not in item:
        return False
    state = session.scalar(select(Card.state).where(Card.id == UUID(item["id"])))
    return state is not None and (item["state"] not in ENDED_CARDS or state == item["state"])


def _known(session: Session, entries: list[UUID]) -> set[UUID]:
    return set(session.scalars(select(AuditEntry.id).where(among(session, AuditEntry.id, entries)))) if entries else set()


def undecided_query() -> Select[int]:
    """Return the query of how many questions wait for a decision."""
    return select(func.count()).where(OpenQuestion.decision.is_(None))


def list_questions(*, decided: bool) -> Listing[OpenQuestion]:
    """Return the questions that wait, or those that were decided, in their order."""
    query = select(OpenQuestion).where(OpenQuestion.decision.is_not(None) if decided else OpenQuestion.decision.is_(None))
    return query, OpenQuestion.id


def decide(ctx: Context, question_id: UUID, decision: str, reason: str) -> OpenQuestion:
    """Record what becomes of something that only the witness knows. A manifest that is revoked gets its bit of the status list.

    Raise NotFound, Invalid for another decision or no reason, and Conflict if it was decided.
    """
    found = ctx.session.get(OpenQuestion, question_id)
    if found is None:
        raise NotFound()
    if decision not in set(Decision) or (decision == Decision.REVOKED and found.kind != "manifest"):
        raise Invalid.field("decision", "Choose what becomes of it.")
    reason = require_note(reason)
    hold(ctx.session, found)
    if found.decision is not None:
        raise Conflict("This was decided already.", type="decided-already")
    act = record(ctx, Action.RESTORE_DECIDE, found.kind, found.subject, question=str(found.id), decision=decision, reason=reason)
    found.decision, found.reason = decision, reason
    found.decided_at, found.decided_by, found.act_id = act.at, act.user_id, act.id
    if decision == Decision.REVOKED:
        _revoke(ctx.session, found.told)
    elif found.kind == "manifest":
        _lift(ctx.session, found.told)
    ctx.session.flush()
    return found


def _revoke(session: Session, item: dict[str, Any]) -> None:
    if "list" not in item:  # an act on a manifest that is here, such as a proposal
        raise Conflict("This manifest is here: revoke it on its own page.", type="manifest-here")
    if session.get(StatusList, item["list"]) is None:
        raise Conflict("The status list of this manifest is not known here.")
    stated = {"status_list": item["list"], "status_index": item["index"], "value": int(StatusValue.REVOKED)}
    new = upsert(session, StatusBeyond).values(stated)
    session.execute(new.on_conflict_do_update(index_elements=["status_list", "status_index"], set_={"value": int(StatusValue.REVOKED)}))


def _lift(session: Session, item: dict[str, Any]) -> None:
    """End a suspension that the witness alone told of a manifest that is here: from now on its own state counts."""
    if "list" not in item or session.get(Manifest, UUID(item["id"])) is None:
        return
    place = (StatusBeyond.status_list == item["list"], StatusBeyond.status_index == item["index"])
    suspended = update(StatusBeyond).where(*place, StatusBeyond.value == int(StatusValue.SUSPENDED))
    session.execute(suspended.values(value=int(StatusValue.VALID)).execution_options(synchronize_session=False))
