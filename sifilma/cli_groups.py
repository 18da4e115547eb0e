"""Every command that needs the application: each package brings its own group."""

from __future__ import annotations

import time

import click
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from sifilma import ports, schema
from sifilma.accounts.cli import organisations, users
from sifilma.activation import tasks
from sifilma.activation.cli import group as hsm
from sifilma.fsck.cli import fsck
from sifilma.kernel import idempotency
from sifilma.oversight.cli import agreements, models
from sifilma.regions.cli import group as regions
from sifilma.web.command import command_context

EVERY_SECONDS = 30
database = AppGroup("db", help="The database's schema.")


def register(app: Flask) -> None:
    """Attach the groups."""
    for group in (database, hsm, users, organisations, models, agreements, regions):
        app.cli.add_command(group)
    for command in (worker, fsck):
        app.cli.add_command(command)


@database.command("upgrade")
def upgrade() -> None:
    """Migrate forward to the newest schema, under a lock."""
    schema.upgrade(ports.settings().database)
    click.echo(f"the database is at {schema.head()}")


@database.command("check")
def check() -> None:
    """Compare tables, indexes and triggers with the code; exit 1 if anything differs."""
    found = schema.check(ports.settings().database)
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
@click.option("--once", is_flag=True, help="One round, then end.")
def worker(once: bool) -> None:
    """What time alone brings about: tokens lapse, requests and manifests expire, old idempotency keys go."""
    while True:
        counts = run_once()
        if any(counts.values()) or once:
            click.echo(", ".join(f"{count} {what}" for what, count in counts.items()))
        if once:
            return
        time.sleep(EVERY_SECONDS)


def run_once() -> dict[str, int]:
    """One round, each job in a transaction of its own."""
    counts = {}
    jobs = {"tokens expired": tasks.expire_tokens, "requests expired": tasks.expire_requests, "manifests expired": tasks.expire_manifests}
    for what, job in jobs.items():
        with command_context() as ctx:
            counts[what] = job(ctx)
    with command_context() as ctx:
        counts["idempotency keys forgotten"] = idempotency.forget_old(ctx.session, ctx.now)
    return counts
