"""Lines of tasks: one select for each kind, all with the same columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    cast,
    func,
    literal,
    null,
    select,
)

from sifilma.activation.models import (
    ActivationRequest,
    Manifest,
    Revocation,
)
from sifilma.cards.models import Card
from sifilma.destruction.models import Destruction
from sifilma.handover.models import Handover, HandoverState
from sifilma.handover.service import handovers_query
from sifilma.identity.models import Organisation
from sifilma.identity.permissions import Operation
from sifilma.identity.scope import scoped
from sifilma.kernel.context import Context
from sifilma.kernel.db import UtcDateTime
from sifilma.personalisation.models import PersonalisationClosing, PersonalisationRequest
from sifilma.personalisation.proposals import closings_query


def line_query(
    query: Select[Any], task: str, key: Any, title: Any, owner: Any, at: Any, count: Any = None, until: Any = None
) -> Select[Any]:
    """Return a select in the common columns: task, id, title, organisation, since when, count, deadline."""
    return query.with_only_columns(
        literal(task, String).label("task"),
        key.label("key"),
        title.label("title"),
        Organisation.name.label("organisation"),
        at.label("at"),
        (count if count is not None else literal(0, Integer)).label("count"),
        (until if until is not None else cast(null(), UtcDateTime)).label("until"),
    ).where(Organisation.id == owner)


def personalisation_lines_query(query: Select[Any], task: str, at: Any) -> Select[Any]:
    """Return personalisation requests as lines."""
    return line_query(
        query,
        task,
        PersonalisationRequest.id,
        PersonalisationRequest.letter_number,
        PersonalisationRequest.requester_id,
        at,
        PersonalisationRequest.quantity,
    )


def closing_lines_query(ctx: Context, task: str, who: ColumnElement[bool]) -> Select[Any]:
    """Return proposals to close requests with a remainder as lines."""
    query = closings_query(ctx).where(who, PersonalisationRequest.id == PersonalisationClosing.personalisation_request_id)
    made = PersonalisationRequest
    return line_query(query, task, made.id, made.letter_number, made.requester_id, PersonalisationClosing.proposed_at)


def activation_lines_query(query: Select[Any], task: str, at: Any) -> Select[Any]:
    """Return activation requests as lines."""
    return line_query(
        query,
        task,
        ActivationRequest.id,
        ActivationRequest.letter_number,
        ActivationRequest.organisation_id,
        at,
        ActivationRequest.machines,
    )


def handover_lines_query(ctx: Context, task: str, mine: ColumnElement[bool], other: Any) -> Select[Any]:
    """Return handovers that are not answered as lines, with the organisation on the other side."""
    return line_query(
        handovers_query(ctx).where(mine, Handover.state == HandoverState.ISSUED),
        task,
        Handover.id,
        Handover.number,
        other,
        Handover.issued_at,
    )


def destruction_lines_query(query: Select[Any], task: str) -> Select[Any]:
    """Return destructions as lines."""
    return line_query(
        query, task, Destruction.id, func.coalesce(Destruction.number, ""), Destruction.organisation_id, Destruction.changed_at
    )


def revocation_lines_query(ctx: Context, task: str, who: ColumnElement[bool]) -> Select[Any]:
    """Return proposals to revoke manifests as lines."""
    query = scoped(select(Revocation), ctx.actor, Operation.MANIFEST_REVOKE, Manifest.organisation_id)
    query = query.where(who, Manifest.id == Revocation.manifest_id, Card.id == Manifest.card_id)
    return line_query(query, task, Manifest.id, Card.uid, Manifest.organisation_id, Revocation.proposed_at)
