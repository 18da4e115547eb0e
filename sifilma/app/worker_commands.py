"""`sifilma worker`: the dispatcher that fits the database, or one round of everything in this process."""

from __future__ import annotations

import gc
import os
import platform
import time
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version

import click
from flask import current_app
from flask.cli import with_appcontext

from sifilma.activation.trust import keyset, published
from sifilma.app.chores import CHORES
from sifilma.dispatch.contract import Dispatcher
from sifilma.dispatch.in_process import InProcess
from sifilma.dispatch.runner import Runner, tell
from sifilma.kernel.db import db, normalise_url
from sifilma.kernel.timekeeping import stops
from sifilma.resources import resources
from sifilma.web.command import command_context
from sifilma.witness import standing

BEAT_SECONDS = 5  # the least between two signs of life, which are given before each chore
SIGN = "sign of life"


@click.command("worker")
@with_appcontext
@click.option("--once", is_flag=True, help="Run one round, then end; exit 1 if a job failed.")
def worker_command(once: bool) -> None:
    """Do what is due: take acts into the log, send messages, work on files, expire tokens, requests and manifests, remind people."""
    if not once:
        keep_working()
        return
    counts, failed = run_once()
    _say(counts)
    if failed:
        raise click.ClickException(f"not done: {', '.join(failed)}")


def keep_working() -> None:
    """Work until the process is told to end."""
    resources().hsm.watch()
    published.follow(resources().settings, partial(keyset.heed_witness, resources().settings))
    standing.begin(db.engine)
    dispatcher = _dispatcher()
    gc.collect()
    gc.freeze()  # what there is now stays: to look through it in the middle of a job took 0.3 s
    dispatcher.keep_working()


def _dispatcher() -> Dispatcher:
    held = resources()
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # the proxy's own way
    url = normalise_url(held.settings.database)
    if url.get_backend_name() == "sqlite":
        return InProcess(CHORES, partial(_run_with, runner()), held.settings.home, _say)
    from sifilma.dispatch.engine import Engine  # noqa: PLC0415  # 20 MB that a server does not need

    return Engine(url, runner(), held.settings.worker_turns, app.app_context, lambda: run_job(SIGN, _beat))


def runner() -> Runner:
    """Return what runs the chores of this process's application. A database that is behind its witness ends and signs nothing."""
    engine = db.engine
    return Runner(CHORES, command_context, lambda: resources().watch.finding() is None and not standing.is_behind(engine))


def _run_with(mine: Runner, name: str) -> int | None:
    return run_timed(name, mine)


def _say(counts: dict[str, int]) -> None:
    click.echo(", ".join(f"{count} {what}" for what, count in counts.items()))


def run_once() -> tuple[dict[str, int], list[str]]:
    """Run one round. Return the count of each chore, and the names of those that failed or were left out.

    Each chore has transactions of its own, so a failing one stops neither the others nor the next round. A round begins with a sign of
    life, which moves the trusted moment on.
    """
    run_job(SIGN, _beat)
    mine = runner()
    counts = {name: run_timed(name, mine, quiet=True) for name in CHORES}
    failed = [name for name, count in counts.items() if count is None]
    return {name: count for name, count in counts.items() if count is not None}, failed


def run_timed(name: str, mine: Runner, *, quiet: bool = False) -> int | None:
    """Run one chore, after a sign of life if it is time for one."""
    if time.monotonic() - _last_beat() >= BEAT_SECONDS:
        run_job(SIGN, _beat)
    return mine.run(name, quiet=quiet)


def run_job(what: str, act: Callable[[], int]) -> int | None:
    """Do something. Return its count, or None if it failed in whatever way: the worker goes on."""
    try:
        return act()
    except Exception as fault:  # noqa: BLE001  # the worker's edge
        tell(what, fault)
    return None


_beats: list[float] = []


def _last_beat() -> float:
    return _beats[-1] if _beats else 0.0


def _beat() -> int:
    """Give a sign of life. Return 1."""
    with command_context() as ctx:
        stops.beat(ctx, resources().watch, platform.node(), os.getpid(), _version())
    _beats[:] = [time.monotonic()]
    return 1


@cache
def _version() -> str:
    return version("sifilma")
