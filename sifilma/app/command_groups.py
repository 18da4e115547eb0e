"""Every command that needs the application: each package brings its own group."""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import structlog
from flask import Flask
from flask.cli import AppGroup, with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from hsm.errors import HSMError
from sifilma import resources
from sifilma.accounts.cli import organisations, users
from sifilma.activation import tasks
from sifilma.activation.cli import group as hsm
from sifilma.app.audit_commands import group as audit
from sifilma.app.audit_commands import keep_log
from sifilma.fsck.cli import fsck
from sifilma.jobs import worker
from sifilma.kernel import idempotency
from sifilma.kernel.context import Context
from sifilma.kernel.errors import SifilmaError
from sifilma.notifications.delivery import deliver
from sifilma.oversight.cli import agreements, models
from sifilma.oversight.regions_cli import group as regions
from sifilma.reports.reminders import remind
from sifilma.schema import migrate
from sifilma.web.command import command_context

EVERY_SECONDS = 10
EXPECTED = (SifilmaError, HSMError, SQLAlchemyError, OSError)
"""Faults of a job that explain themselves; any other is logged with its trace."""

log = structlog.get_logger()
database = AppGroup("db", help="The database's schema.")


def register(app: Flask) -> None:
    """Attach the groups."""
    for group in (database, hsm, users, organisations, models, agreements, regions, audit):
        app.cli.add_command(group)
    for command in (worker_command, fsck):
        app.cli.add_command(command)


@database.command("upgrade")
def upgrade() -> None:
    """Migrate forward to the newest schema, under a lock."""
    migrate.upgrade(resources.settings().database)
    click.echo(f"the database is at {migrate.head()}")


@database.command("check")
def check() -> None:
    """Compare tables, indexes and triggers with the code; exit 1 if anything differs."""
    found = migrate.check(resources.settings().database)
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
@click.option("--once", is_flag=True, help="One round, then end; exit 1 if a job failed.")
def worker_command(once: bool) -> None:
    """What time alone brings about: acts come into the log, tokens lapse, requests and manifests expire, people are reminded."""
    while True:
        counts, failed = run_once()
        if any(counts.values()) or once:
            click.echo(", ".join(f"{count} {what}" for what, count in counts.items()))
        if once:
            if failed:
                raise click.ClickException(f"not done: {', '.join(failed)}")
            return
        _wait()


def _wait() -> None:
    """Until the next round; messages leave within a second of their act meanwhile (somebody waits for a code), and files are worked on."""
    until = time.monotonic() + EVERY_SECONDS
    while time.monotonic() < until:
        if not run_job(ROWS, _work):
            time.sleep(1)
        run_job(MESSAGES, _deliver)


def run_once() -> tuple[dict[str, int], list[str]]:
    """One round, each job in transactions of its own: what was done, and which jobs failed. The others, and the next round, go on."""
    counts = {what: run_job(what, job) for what, job in JOBS.items()}
    failed = [what for what, count in counts.items() if count is None]
    return {what: count for what, count in counts.items() if count is not None}, failed


def run_job(what: str, job: Callable[[], int]) -> int | None:
    """How many a job did, None if it failed, in whatever way: the other jobs and the next round go on."""
    try:
        return job()
    except Exception as fault:  # noqa: BLE001  # the worker's edge
        _tell(what, fault)
    return None


def _tell(what: str, fault: Exception) -> None:
    log.error("job_failed", job=what, fault=str(fault), exc_info=None if isinstance(fault, EXPECTED) else fault)


def _deliver() -> int:
    return deliver(command_context, resources.settings())


def _work() -> int:
    return worker.work(worker.Tools(command_context, resources.settings(), resources.hsm(), resources.files(), resources.places))


def _in_one(job: Callable[[Context], int]) -> Callable[[], int]:
    """A job that is one transaction."""

    def run() -> int:
        with command_context() as ctx:
            return job(ctx)

    return run


MESSAGES = "messages sent"
ROWS = "rows of files settled"
JOBS: dict[str, Callable[[], int]] = {
    MESSAGES: _deliver,
    ROWS: _work,
    "entries taken into the log": keep_log,
    "tokens expired": _in_one(tasks.expire_tokens),
    "requests expired": _in_one(tasks.expire_requests),
    "manifests expired": _in_one(tasks.expire_manifests),
    "people reminded": lambda: remind(command_context, resources.settings()),
    "idempotency keys forgotten": _in_one(lambda ctx: idempotency.forget_old(ctx.session, ctx.now)),
}
