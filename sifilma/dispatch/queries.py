"""What runs, waits and fails, and why: the same picture on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from sifilma.dispatch.contract import DEAD, REGISTERED, Chore, Waiting
from sifilma.dispatch.models import WorkRun
from sifilma.identity.models import Organisation
from sifilma.kernel.context import Context
from sifilma.kernel.timekeeping import stops
from sifilma.kernel.timekeeping.watch import Heartbeat

MOST = 200
"""Entries that are shown."""
# The engine's moments are the database's own. `ends` says what a worker's last sign of life is old.
_ENTRIES = text("""
SELECT j.task_name AS chore, j.args ->> 'subject' AS subject, j.status::text AS status, j.attempts, j.scheduled_at AS due_at,
    j.scheduled_at > now() AS later, o.name AS organisation, j.worker_id AS worker,
    j.lock IS NOT NULL AND EXISTS (SELECT 1 FROM procrastinate.procrastinate_jobs d WHERE d.status = 'doing' AND d.lock = j.lock) AS held,
    extract(epoch FROM now() - w.last_heartbeat)::float AS silent,
    (SELECT MAX(e.at) FROM procrastinate.procrastinate_events e WHERE e.job_id = j.id AND e.type IN ('started', 'deferred')) AS since
FROM procrastinate.procrastinate_jobs j LEFT JOIN procrastinate.procrastinate_workers w ON w.id = j.worker_id
LEFT JOIN organisation o ON o.id = CAST(j.args ->> 'organisation' AS uuid)
WHERE j.status IN ('todo', 'doing') ORDER BY j.status, j.priority DESC, j.id LIMIT :most
""")


class Why(StrEnum):
    """Why something waits: operators have paused its chore, no worker lives, it is tried again later, a limit, or others come first."""

    PAUSED = "paused"
    NO_WORKER = "no worker"
    LATER = "later"
    LIMIT = "limit"
    TURN = "turn"


_LIVE = text(
    "SELECT EXISTS (SELECT 1 FROM procrastinate.procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => :dead))"
)


@dataclass(frozen=True)
class Line:
    """A chore with its latest run, if it has had one."""

    name: str
    chore: Chore
    run: WorkRun | None


@dataclass(frozen=True)
class Entry:
    """Something that runs or waits.

    `subject` is the object of a turn, None for what runs by time; `silent` the seconds since its worker's last sign of life. `why` says why
    it waits: until `due_at` (LATER), or because another turn of the same chore and `organisation` runs (LIMIT).
    """

    chore: str
    subject: UUID | None
    runs: bool
    since: datetime | None = None
    due_at: datetime | None = None
    turns: int = 0
    worker: int | None = None
    silent: float | None = None
    organisation: str = ""
    why: Why | None = None


@dataclass(frozen=True)
class Work:
    """Everything at once: the chores, what runs and waits, what was given up, and the nodes with workers, of which one `lives`."""

    lines: Sequence[Line]
    entries: Sequence[Entry]
    given_up: Sequence[WorkRun]
    failing: Sequence[WorkRun]
    nodes: Sequence[Heartbeat]
    lives: bool


def work(ctx: Context) -> Work:
    """Return what there is to see of the work."""
    rows = list(ctx.session.scalars(select(WorkRun).order_by(WorkRun.chore, WorkRun.subject)))
    runs = {row.chore: row for row in rows if not row.subject}
    nodes = list(ctx.session.scalars(select(Heartbeat).order_by(Heartbeat.node)))
    lives = _lives(ctx)
    paused = frozenset(name for name, row in runs.items() if row.paused_at is not None)
    return Work(
        lines=[Line(name, chore, runs.get(name)) for name, chore in REGISTERED.items()],
        entries=_entries(ctx, paused, lives),
        given_up=[row for row in rows if row.subject and row.gave_up_at],
        failing=[row for row in rows if row.subject and not row.gave_up_at],
        nodes=nodes,
        lives=lives,
    )


def _lives(ctx: Context) -> bool:
    """Return whether a worker lives: by its signs to the engine, which come oftener, where there is one."""
    if ctx.session.get_bind().dialect.name == "postgresql":
        return bool(ctx.session.scalar(_LIVE, {"dead": DEAD}))
    return stops.is_worked(ctx)


def _entries(ctx: Context, paused: frozenset[str], lives: bool) -> list[Entry]:
    if ctx.session.get_bind().dialect.name == "postgresql":
        return [_entry(row, paused, lives) for row in ctx.session.execute(_ENTRIES, {"most": MOST}).mappings()]
    found = [(name, one) for name, chore in REGISTERED.items() if chore.waiting is not None for one in chore.waiting(ctx)][:MOST]
    ids = {one.organisation for _, one in found}
    names: dict[UUID, str] = dict(ctx.session.execute(select(Organisation.id, Organisation.name).where(Organisation.id.in_(ids))).all())
    return [
        Entry(name, one.subject, runs=False, organisation=names.get(one.organisation, ""), why=_why(name, paused, lives))
        for name, one in found
    ]


def _entry(row: Any, paused: frozenset[str], lives: bool) -> Entry:
    subject, runs = UUID(row["subject"]) if row["subject"] else None, row["status"] == "doing"
    why = None if runs else _why(row["chore"], paused, lives, later=row["later"], held=row["held"])
    return Entry(
        row["chore"], subject, runs, row["since"], row["due_at"], row["attempts"], row["worker"], row["silent"], row["organisation"] or "",
        why,
    )  # fmt: skip


def _why(chore: str, paused: frozenset[str], lives: bool, *, later: bool | None = False, held: bool = False) -> Why:
    """Return the first reason that would keep it if all others were gone."""
    if chore in paused:
        return Why.PAUSED
    if not lives:
        return Why.NO_WORKER
    return Why.LATER if later else Why.LIMIT if held else Why.TURN


def find_waiting(ctx: Context, name: str, subject: UUID) -> Waiting | None:
    """Return the object if there is something to do for it, else None."""
    waiting = REGISTERED[name].waiting
    return next((one for one in (waiting(ctx) if waiting else ()) if one.subject == subject), None)
