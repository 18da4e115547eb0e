"""Attach all commands that need the application. Each package has its own group."""

from __future__ import annotations

import faulthandler
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import NoReturn

import click
import structlog
from flask import Flask
from flask.cli import AppGroup, with_appcontext
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from hsm.errors import HSMError
from sifilma.access_review import tasks as access
from sifilma.accounts import consents
from sifilma.accounts.cli import organisations, users
from sifilma.activation import tasks
from sifilma.activation.carrying import tasks as carrying
from sifilma.activation.suspensions.tasks import suspend_overdue
from sifilma.activation.tokens import tasks as tokens
from sifilma.app.audit_commands import group as audit
from sifilma.app.audit_commands import sign_checkpoint, take_entries
from sifilma.app.clock_commands import group as clock
from sifilma.app.leavers import pseudonymise_leavers
from sifilma.app.retention import forget_old
from sifilma.audit import rounds
from sifilma.cards.derived.tasks import add_up
from sifilma.custody import rotation
from sifilma.custody.cli import group as hsm
from sifilma.destruction import tasks as destructions
from sifilma.fsck.cli import fsck
from sifilma.handover import tasks as handovers
from sifilma.handover.discrepancies import tasks as discrepancies
from sifilma.jobs import worker
from sifilma.kernel.clock import Clock
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, SifilmaError
from sifilma.kernel.ids import uuid7
from sifilma.kernel.installation import are_seals_known, claim_home, note_seals
from sifilma.kernel.timekeeping import stops
from sifilma.lost_access.tasks import tell_people
from sifilma.notifications.delivery import deliver
from sifilma.oversight.cli import agreements, models, regions
from sifilma.regions.sources import place_check
from sifilma.reports.reminders import remind
from sifilma.resources import resources
from sifilma.schema import migrate
from sifilma.sign_in import resealing
from sifilma.web.command import command_context

EVERY_SECONDS = 10  # between two rounds of the worker
BEAT_SECONDS = 5  # the least between two signs of life, which are given before each job
STUCK_SECONDS = 120  # a job that takes longer hangs: the worker ends itself, and is started again
EXPECTED = (SifilmaError, HSMError, SQLAlchemyError, OSError)
"""Faults of a job that explain themselves. All others are logged with their trace."""

log = structlog.get_logger()
database = AppGroup("db", help="The database's schema.")


def register(app: Flask) -> None:
    """Attach the groups and commands."""
    for group in (database, hsm, users, organisations, models, agreements, regions, audit, clock):
        app.cli.add_command(group)
    for command in (worker_command, fsck):
        app.cli.add_command(command)


@database.command("upgrade")
def upgrade() -> None:
    """Migrate forward to the newest schema, under a lock."""
    claim_home(resources().settings)
    upgrade_database(resources().settings, resources().clock)
    click.echo(f"the database is at {migrate.head()}")


def upgrade_database(settings: Settings, clock: Clock) -> None:
    """Migrate, and seal the rows of a database that comes from a time before seals, or before they covered what they cover now.

    Raise Conflict if this home has seen a database with seals: then one without is an old one, or was changed so that the seals would be
    made anew.
    """

    def seal(connection: Connection, before: str) -> None:
        if before >= migrate.SEALED_SINCE:
            resealing.seal_wider(connection, settings, clock, before)
            return
        if are_seals_known(settings):
            raise Conflict(
                "This home has had a database with seals, and this one has none: it is older, or somebody took them away."
                " docs/security.md says what to do."
            )
        resealing.seal_what_stands(connection, settings, clock)

    migrate.upgrade(settings.database, seal=seal)
    note_seals(settings, clock.now())


@database.command("check")
def check() -> None:
    """Compare tables, indexes and triggers with the code. Exit 1 if anything differs."""
    found = migrate.check(resources().settings.database)
    click.echo(f"database {found.database_head}, code {found.code_head}")
    for text in (
        *found.differences,
        *(f"missing rule {n}" for n in found.missing_rules),
        *(f"unknown rule {n}" for n in found.unknown_rules),
    ):
        click.echo(f"  {text}")
    if not found.ok:
        raise click.ClickException("the database is not what the code expects")


@click.command("worker")
@with_appcontext
@click.option("--once", is_flag=True, help="Run one round, then end; exit 1 if a job failed.")
def worker_command(once: bool) -> None:
    """Do what is due: take acts into the log, send messages, work on files, expire tokens, requests and manifests, remind people."""
    if not once:
        keep_working()
    counts, failed = run_once()
    _say(counts)
    if failed:
        raise click.ClickException(f"not done: {', '.join(failed)}")


def keep_working() -> NoReturn:
    """Do one round after the other."""
    _armed.append(True)
    resources().hsm.watch()
    while True:
        counts, _ = run_once()
        if any(counts.values()):
            _say(counts)
        _wait()


_armed: list[bool] = []


def _rearm() -> None:
    """Begin the time anew after which this process writes where it hangs, and ends. Only a worker that keeps working does."""
    if _armed:
        faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)


def _say(counts: dict[str, int]) -> None:
    click.echo(", ".join(f"{count} {what}" for what, count in counts.items()))


def _wait() -> None:
    """Wait for the next round. Messages are sent within a second meanwhile, since somebody waits for a code, and files are worked on."""
    until = time.monotonic() + EVERY_SECONDS
    while time.monotonic() < until:
        done = [run_timed(what, JOBS[what]) for what in (ROWS, TOKENS, CARRIED)]  # all: none waits for another's end
        if not any(done):
            time.sleep(1)
        run_timed(MESSAGES, JOBS[MESSAGES])


def run_once() -> tuple[dict[str, int], list[str]]:
    """Run one round. Return the count of each job, and the names of the failed ones.

    Each job has transactions of its own, so a failing job stops neither the others nor the next round. A round begins with a sign of life,
    which moves the trusted moment on.
    """
    run_job(SIGN, _beat)
    counts = {what: run_timed(what, job) for what, job in JOBS.items()}
    failed = [what for what, count in counts.items() if count is None]
    return {what: count for what, count in counts.items() if count is not None}, failed


def run_timed(what: str, job: Timed) -> int | None:
    """Run one job, after a sign of life if it is time for one. What goes by the clock is not run while the clock is not trusted (None)."""
    _rearm()
    if time.monotonic() - _last_beat() >= BEAT_SECONDS:
        run_job(SIGN, _beat)
    if job.goes_by_the_clock and resources().watch.finding() is not None:
        return None
    return run_job(what, job.run)


def run_job(what: str, job: Callable[[], int]) -> int | None:
    """Run one job. Return its count, or None if it failed in whatever way: the worker goes on."""
    try:
        return job()
    except Exception as fault:  # noqa: BLE001  # the worker's edge
        _tell(what, fault)
    return None


def _tell(what: str, fault: Exception) -> None:
    log.error("job_failed", job=what, fault=str(fault), exc_info=None if isinstance(fault, EXPECTED) else fault)


def _deliver() -> int:
    return deliver(command_context, resources().settings)


def _work() -> int:
    held = resources()
    places = partial(place_check, held.settings.home)
    return worker.work(worker.Tools(command_context, held.settings, held.hsm, held.files, places, _name(os.getpid())))


def _issue_tokens() -> int:
    held = resources()
    return tokens.issue(command_context, held.settings, held.hsm)


def _carry() -> int:
    held = resources()
    return carrying.carry(command_context, held.settings, held.hsm)


@cache
def _name(_process: int) -> str:
    """Return this process's name among the workers. It is not that of a worker forked before, whose last statement may still run."""
    return str(uuid7())


def _in_one(job: Callable[[Context], int]) -> Callable[[], int]:
    """Return the job as one transaction."""

    def run() -> int:
        with command_context() as ctx:
            return job(ctx)

    return run


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


def _store_papers() -> int:
    held = resources()
    stores = (handovers.store_papers, discrepancies.store_papers, destructions.store_papers)
    return sum(store(command_context, held.settings, held.files) for store in stores)


@dataclass(frozen=True)
class Timed:
    """A job of the worker. `goes_by_the_clock`: it ends, signs or dates something for good, so a clock that may be wrong stops it."""

    run: Callable[[], int]
    goes_by_the_clock: bool


SIGN = "sign of life"
MESSAGES = "messages sent"
ROWS = "rows of files settled"
TOKENS = "tokens made"
CARRIED = "manifests issued anew"
JOBS: dict[str, Timed] = {
    MESSAGES: Timed(_deliver, goes_by_the_clock=False),  # codes for signing in go on; nothing lapses meanwhile (`outbox.send`)
    ROWS: Timed(_work, goes_by_the_clock=True),
    TOKENS: Timed(_issue_tokens, goes_by_the_clock=True),
    CARRIED: Timed(_carry, goes_by_the_clock=True),
    "entries taken into the log": Timed(take_entries, goes_by_the_clock=False),  # an order, not a time
    "checkpoints signed": Timed(sign_checkpoint, goes_by_the_clock=True),
    "tokens expired": Timed(_in_one(tasks.expire_tokens), goes_by_the_clock=True),
    "requests expired": Timed(_in_one(tasks.expire_requests), goes_by_the_clock=True),
    "manifests expired": Timed(_in_one(tasks.expire_manifests), goes_by_the_clock=True),
    "cards suspended for their place": Timed(_in_one(suspend_overdue), goes_by_the_clock=True),
    "unused accounts marked": Timed(_in_one(lambda ctx: access.mark_dormant(ctx, resources().settings)), goes_by_the_clock=True),
    "unused accounts disabled": Timed(_in_one(lambda ctx: access.disable_dormant(ctx, resources().settings)), goes_by_the_clock=True),
    "access reviews opened": Timed(_in_one(lambda ctx: access.open_reviews(ctx, resources().settings)), goes_by_the_clock=True),
    "access reviews closed": Timed(_in_one(access.close_reviews), goes_by_the_clock=True),
    "temporary roles ended": Timed(_in_one(access.end_roles), goes_by_the_clock=True),
    "changes of cards added up": Timed(_in_one(add_up), goes_by_the_clock=False),
    "data keys sealed anew": Timed(
        lambda: rotation.seal_anew(command_context, resources().settings, resources().hsm), goes_by_the_clock=False
    ),
    "papers stored": Timed(_store_papers, goes_by_the_clock=False),  # what a paper states was dated when it was issued
    "known people asked": Timed(_in_one(lambda ctx: consents.ask_known_people(ctx, resources().settings)), goes_by_the_clock=True),
    "people asked for whom help was asked": Timed(_in_one(lambda ctx: tell_people(ctx, resources().settings)), goes_by_the_clock=False),
    "questions expired": Timed(_in_one(consents.expire_consents), goes_by_the_clock=True),
    "people reminded": Timed(lambda: remind(command_context, resources().settings, resources().site), goes_by_the_clock=True),
    "old rows forgotten": Timed(_in_one(lambda ctx: forget_old(ctx, resources().settings, resources().files)), goes_by_the_clock=True),
    "people given a pseudonym": Timed(_in_one(lambda ctx: pseudonymise_leavers(ctx, resources().settings)), goes_by_the_clock=True),
    "rows found changed past the service": Timed(lambda: rounds.compare(command_context), goes_by_the_clock=False),
}
