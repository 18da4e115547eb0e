"""The worker's rounds over the rows that acts rest on: a part at each turn, from the first row to the last, and again.

What does not fit is a finding: it is logged, recorded as an act of the system, and shown until the row fits again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias
from uuid import UUID

import structlog
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from sifilma.audit import recorded
from sifilma.audit.comparison import FIRST, Difference, compare_acts, compare_row, compare_rows
from sifilma.audit.models import Action, RowFinding, RowRound
from sifilma.audit.service import record, record_in
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict
from sifilma.kernel.text import say

TURN_SECONDS = 0.25
"""How long the worker compares at each of its turns, which come every ten seconds."""
AT_ONCE = 500
EVERY = timedelta(hours=1)
"""The least between two comparisons of the same rows."""
ACTS = "audit_entry"
DIFFERS = say("What is stored here was changed past this service. Tell the directorate.")

Contexts: TypeAlias = Callable[[], AbstractContextManager[Context]]
log = structlog.get_logger()


@dataclass(frozen=True)
class Step:
    """The result of one part of a walk. `last` is the key it came to, empty at the end of the walk."""

    differences: Sequence[Difference]
    last: str


Walk: TypeAlias = Callable[[Session, str], Step]
_others: dict[str, Walk] = {}


@dataclass(frozen=True)
class State:
    """What the comparison has to tell: open findings, and when the kind that was compared longest ago was compared (None: never)."""

    findings: int
    compared_at: datetime | None


def register_walk(name: str, walk: Walk) -> None:
    """Have the rounds compare what another package compares. `walk(session, after)` compares the next part after a key."""
    _others[name] = walk


def walks() -> dict[str, Walk]:
    """Return every walk by its name: the kinds of rows, the acts, and those of other packages."""
    by_kind = {kind: partial(_rows, model) for kind, model in recorded.kinds().items()}
    return by_kind | {ACTS: _acts} | _others


def _rows(model: recorded.Model, session: Session, after: str) -> Step:
    part = compare_rows(session, model, UUID(after) if after else FIRST, AT_ONCE)
    return Step(part.differences, str(part.last or ""))


def _acts(session: Session, after: str) -> Step:
    part = compare_acts(session, UUID(after) if after else FIRST, AT_ONCE)
    return Step(part.differences, str(part.last or ""))


def compare(contexts: Contexts, seconds: float = TURN_SECONDS) -> int:
    """Compare parts of what is due for about `seconds`. Return how many new findings there are."""
    new, until = 0, time.monotonic() + seconds
    while True:
        with contexts() as ctx:
            ctx.uow.begin_snapshot()  # an act between two statements of a walk would look like a difference
            due = _due(ctx)
            if due is None:
                return new
            name, after = due
            step = walks()[name](ctx.session, after)
            ctx.uow.begin_write()
            new += _keep(ctx, name, after, step)
        if time.monotonic() >= until:
            return new


def _due(ctx: Context) -> tuple[str, str] | None:
    """Return the walk that goes on, or that was finished longest ago, and the key after which it goes on. None if nothing is due."""
    stored = {row.walk: row for row in ctx.session.scalars(select(RowRound))}
    waiting: list[tuple[datetime | None, str, str]] = []
    for name in walks():
        row = stored.get(name)
        ended = row.ended_at if row else None
        # One that ended in the future was ended by a clock that was wrong.
        if row is None or row.after or ended is None or not ctx.now - EVERY < ended <= ctx.now:
            waiting.append((ended, name, row.after if row else ""))
    waiting.sort(key=lambda one: (one[0] is not None, one[0] or ctx.now, one[1]))
    return waiting[0][1:] if waiting else None


def _keep(ctx: Context, name: str, after: str, step: Step) -> int:
    """Store how far the walk came, new findings, and the end of those that are none any more. Return how many are new."""
    row = ctx.session.get(RowRound, name) or RowRound(walk=name)
    row.after = step.last
    if not step.last:
        row.ended_at = ctx.now
    ctx.session.add(row)
    found = {(one.kind, one.id, str(one.fault)): one for one in step.differences}
    for open_ in _open_in(ctx.session, name, after, step.last):
        if found.pop((open_.kind, open_.object_id, open_.fault), None) is None:
            _end(ctx, open_)
    for one in found.values():
        _begin(ctx.session, ctx, name, one)
    return len(found)


def _open_in(session: Session, name: str, after: str, last: str) -> Sequence[RowFinding]:
    within = [RowFinding.place > after] + ([RowFinding.place <= last] if last else [])
    return session.scalars(select(RowFinding).where(RowFinding.walk == name, RowFinding.ended_at.is_(None), *within)).all()


def _begin(session: Session, ctx: Context, name: str, one: Difference) -> None:
    log.error("row_differs", kind=one.kind, id=one.id, fault=str(one.fault), version=one.version)
    act = record_in(session, ctx, Action.ROW_DIFFERS, one.kind, one.id, fault=str(one.fault), version=one.version)
    stated = {"kind": one.kind, "object_id": one.id, "fault": str(one.fault)}
    session.add(RowFinding(walk=name, place=one.place, found_at=ctx.now, act_id=act.id, **stated))


def _end(ctx: Context, finding: RowFinding) -> None:
    log.warning("row_fits_again", kind=finding.kind, id=finding.object_id, fault=finding.fault)
    act = record(ctx, Action.ROW_FITS, finding.kind, finding.object_id, fault=finding.fault)
    finding.ended_at, finding.ended_act = ctx.now, act.id


def require_recorded(ctx: Context, model: recorded.Model, row_id: UUID) -> None:
    """Raise Conflict (`row-differs`) unless a row is what its newest act recorded, for acts that give something away by it.

    Runs one statement. A row that differs becomes a finding, whatever becomes of the act.
    """
    found = compare_row(ctx.session, model, row_id)
    if found is not None:
        ctx.uow.separately(lambda session: _begin_once(session, ctx, found))
        raise Conflict(DIFFERS, type="row-differs")


def _begin_once(session: Session, ctx: Context, one: Difference) -> None:
    same = (RowFinding.kind == one.kind, RowFinding.object_id == one.id, RowFinding.fault == str(one.fault))
    if session.scalar(select(RowFinding.id).where(RowFinding.ended_at.is_(None), *same)) is None:
        _begin(session, ctx, one.kind, one)


def open_findings_query() -> Select[int]:
    """Return the query of how many rows differ from what their newest act recorded."""
    return select(func.count()).where(RowFinding.ended_at.is_(None))


def state(session: Session) -> State:
    """Return what is shown of the comparison to what watches the installation."""
    ended = {row.walk: row.ended_at for row in session.scalars(select(RowRound))}
    moments = [ended.get(name) for name in walks()]
    known = [moment for moment in moments if moment is not None]
    return State(session.scalar(open_findings_query()) or 0, min(known) if len(known) == len(moments) else None)
