"""`sifilma jobs`: what runs, waits and fails, and why; pause, go on, try again."""

from __future__ import annotations

from uuid import UUID

import click
from flask.cli import AppGroup

from sifilma.dispatch import service
from sifilma.dispatch.queries import Entry, Line, Why, work
from sifilma.web.command import command_context

group = AppGroup("jobs", help="The work of the workers: what runs, waits and fails, and why.")


@group.command("list")
def list_work() -> None:
    """Print the chores with their latest runs, what runs and waits, and what was given up. Exit 1 if something was."""
    with command_context() as ctx:
        ctx.uow.begin_read()
        found = work(ctx)
        for node in found.nodes:
            print(f"worker     {node.node}, process {node.pid}, last sign of life {node.at:%Y-%m-%d %H:%M:%S} UTC")
        for line in found.lines:
            print(f"chore      {line.name}: {_state(line)}")
        for entry in found.entries:
            print(f"{'runs' if entry.runs else 'waits':10} {_told(entry)}")
        for what, rows in (("fails", found.failing), ("given up", found.given_up)):
            for row in rows:
                print(f"{what:10} {row.chore} of {row.subject}: {row.failures} times, {row.error}")
    if found.given_up:
        raise click.ClickException(f"{len(found.given_up)} given up; `sifilma jobs retry CHORE ID` has one tried again")


@group.command("pause")
@click.argument("chore")
def pause(chore: str) -> None:
    """Have a chore not run any more until it is resumed."""
    with command_context() as ctx:
        service.pause(ctx, chore)


@group.command("resume")
@click.argument("chore")
def resume(chore: str) -> None:
    """Let a chore go on."""
    with command_context() as ctx:
        service.resume(ctx, chore)


@group.command("retry")
@click.argument("chore")
@click.argument("object_id", type=click.UUID)
def retry(chore: str, object_id: UUID) -> None:
    """Have an object that was given up tried again."""
    with command_context() as ctx:
        service.retry(ctx, chore, object_id)


WHY = {
    Why.PAUSED: "its chore is paused",
    Why.NO_WORKER: "no worker has given a sign of life lately",
    Why.LATER: "it is tried again",
    Why.LIMIT: "another turn of its organisation and chore runs",
    Why.TURN: "others come first",
}


def _state(line: Line) -> str:
    run = line.run
    if run is not None and run.paused_at is not None:
        return f"paused since {run.paused_at:%Y-%m-%d %H:%M} UTC"
    if run is None or run.ended_at is None:
        return "has not run yet"
    if run.failures:
        return f"failed {run.failures} times, on {run.node}: {run.error}"
    return f"{run.count} at {run.ended_at:%Y-%m-%d %H:%M:%S} UTC in {run.seconds:.1f} s on {run.node}"


def _told(entry: Entry) -> str:
    of = f" of {entry.subject}" if entry.subject else ""
    since = f", since {entry.since:%H:%M:%S} UTC" if entry.since else ""
    turns = f", {entry.turns} turns before" if entry.turns else ""
    silent = f", worker {entry.worker} silent for {entry.silent:.0f} s" if entry.runs and entry.silent is not None else ""
    whose = f" ({entry.organisation})" if entry.organisation else ""
    until = f" at {entry.due_at:%H:%M:%S} UTC" if entry.why is Why.LATER and entry.due_at else ""
    why = f", because: {WHY[entry.why]}{until}" if entry.why else ""
    return f"{entry.chore}{of}{whose}{since}{turns}{silent}{why}"
