"""Attach all commands that need the application. Each package has its own group."""

from __future__ import annotations

import click
from flask import Flask
from flask.cli import AppGroup
from sqlalchemy import Connection

from config.settings import Settings
from sifilma.accounts.cli import organisations, users
from sifilma.app.audit_commands import group as audit
from sifilma.app.clock_commands import group as clock
from sifilma.app.worker_commands import worker_command
from sifilma.custody.cli import group as hsm
from sifilma.dispatch.cli import group as jobs
from sifilma.fsck.cli import fsck
from sifilma.kernel.clock import Clock
from sifilma.kernel.errors import Conflict
from sifilma.kernel.installation import are_seals_known, claim_home, note_seals
from sifilma.oversight.cli import agreements, models, regions
from sifilma.resources import resources
from sifilma.schema import migrate
from sifilma.sign_in import resealing

database = AppGroup("db", help="The database's schema.")


def register(app: Flask) -> None:
    """Attach the groups and commands."""
    for group in (database, hsm, jobs, users, organisations, models, agreements, regions, audit, clock):
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
