"""What runs, waits and fails, and why: the same picture on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from sifilma.dispatch.contract import REGISTERED, Chore, Waiting
from sifilma.dispatch.models import WorkRun
from sifilma.kernel.context import Context
from sifilma.kernel.timekeeping.watch import Heartbeat

MOST = 200
"""Entries that are shown."""
# The engine's moments are the database's own. `ends` says what a worker's last sign of life is old.
_ENTRIES = text("""
SELECT j.task_name AS chore, j.args ->> 'subject' AS subject, j.status::text AS status, j.attempts, j.scheduled_at AS due_at,
    j.worker_id AS worker, extract(epoch FROM now() - w.last_heartbeat)::float AS silent,
    (SELECT MAX(e.at) FROM procrastinate.procrastinate_events e WHERE e.job_id = j.id AND e.type IN ('started', 'deferred')) AS since
FROM procrastinate.procrastinate_jobs j LEFT JOIN procrastinate.procrastinate_workers w ON w.id = j.worker_id
WHERE j.status IN ('todo', 'doing') ORDER BY j.status, j.priority DESC, j.id LIMIT :most
""")


@dataclass(frozen=True)
class Line:
    """A chore with its latest run, if it has had one."""

    name: str
    chore: Chore
    run: WorkRun | None


@dataclass(frozen=True)
class Entry:
    """Something that runs or waits.

    `subject` is the object of a turn, None for what runs by time; `silent` the seconds since its worker's last sign of life.
    """

    chore: str
    subject: UUID | None
    runs: bool
    since: datetime | None = None
    due_at: datetime | None = None
    turns: int = 0
    worker: int | None = None
    silent: float | None = None


@dataclass(frozen=True)
class Work:
    """Everything at once: the chores, what runs and waits, what was given up, and the nodes with workers."""

    lines: Sequence[Line]
    entries: Sequence[Entry]
    given_up: Sequence[WorkRun]
    failing: Sequence[WorkRun]
    nodes: Sequence[Heartbeat]


def work(ctx: Context) -> Work:
    """Return what there is to see of the work."""
    rows = list(ctx.session.scalars(select(WorkRun).order_by(WorkRun.chore, WorkRun.subject)))
    runs = {row.chore: row for row in rows if not row.subject}
    return Work(
        lines=[Line(name, chore, runs.get(name)) for name, chore in REGISTERED.items()],
        entries=_entries(ctx),
        given_up=[row for row in rows if row.subject and row.gave_up_at],
        failing=[row for row in rows if row.subject and not row.gave_up_at],
        nodes=list(ctx.session.scalars(select(Heartbeat).order_by(Heartbeat.node))),
    )


def _entries(ctx: Context) -> list[Entry]:
    if ctx.session.get_bind().dialect.name == "postgresql":
        return [_entry(row) for row in ctx.session.execute(_ENTRIES, {"most": MOST}).mappings()]
    found = [(name, one) for name, chore in REGISTERED.items() if chore.waiting is not None for one in chore.waiting(ctx)]
    return [Entry(name, one.subject, runs=False) for name, one in found[:MOST]]


def _entry(row: Any) -> Entry:
    subject = UUID(row["subject"]) if row["subject"] else None
    return Entry(
        row["chore"], subject, row["status"] == "doing", row["since"], row["due_at"], row["attempts"], row["worker"],
        row["silent"],
    )  # fmt: skip


def find_waiting(ctx: Context, name: str, subject: UUID) -> Waiting | None:
    """Return the object if there is something to do for it, else None."""
    waiting = REGISTERED[name].waiting
    return next((one for one in (waiting(ctx) if waiting else ()) if one.subject == subject), None)
