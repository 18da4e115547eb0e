"""`sifilma backup` and `sifilma restore`: one command each."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext
from sqlalchemy import Engine, inspect, select
from sqlalchemy.orm import Session

from config.settings import Settings
from sifilma.audit.models import Action, AuditEntry
from sifilma.audit.service import record
from sifilma.backup import archive, service
from sifilma.backup.databases import Postgresql
from sifilma.fsck.registry import Needs
from sifilma.fsck.run import Installation, examine
from sifilma.kernel.context import Context
from sifilma.kernel.db import db, normalise_url
from sifilma.kernel.errors import Conflict
from sifilma.kernel.installation import claim_home
from sifilma.reconciliation.cli import reconcile
from sifilma.reconciliation.service import want
from sifilma.resources import ensure_softhsm, resources
from sifilma.web.command import command_context
from sifilma.witness.models import Reconciliation

FILE = click.Path(dir_okay=False, path_type=Path)
KIND = "backup"
AFTER = (
    "start server and worker only when this is done:",
    "1. `sifilma db upgrade`, if the backup is of an older version; `sifilma db check`; `sifilma fsck`",
    "2. `sifilma audit verify --checkpoint FILE` with a checkpoint kept elsewhere",
)
RECONCILE = (
    "3. `sifilma restore reconcile --custodian A --custodian B`, with the root token: until then nothing is issued, and reading goes on"
)
WITHOUT = (
    "3. there is no witness: numbers of today may be given out a second time. Compare with papers and lists kept elsewhere, end sessions, "
    "and revoke keys that ended after the backup was made (docs/operations.md, Backup)"
)


@click.command("backup")
@with_appcontext
@click.argument("target", type=click.Path(path_type=Path), required=False)
@click.option("--recipient", "recipients", multiple=True, metavar="age1…", help="Encrypt to this key, beside SIFILMA_BACKUP_RECIPIENTS.")
@click.option("--check", is_flag=True, help="Say age and size of the newest backup and the last drill. Exit 1 if one is too old.")
@click.option("--make-key", "new_key", type=FILE, help="Write a new private key into this file and print its public half.")
def backup(target: Path | None, recipients: tuple[str, ...], check: bool, new_key: Path | None) -> None:
    """Write everything that must not be lost into TARGET, a file or a folder: one moment of it, encrypted, and read again afterwards."""
    settings = resources().settings
    if new_key is not None:
        click.echo(archive.make_key(new_key))
        return
    if check:
        with command_context() as ctx:
            ctx.uow.begin_read()
            told = state(ctx, settings, target)
        click.echo(json.dumps(told, indent=2))
        if told["wrong"]:
            raise click.ClickException("; ".join(told["wrong"]))
        return
    if target is None:
        raise click.UsageError("TARGET is missing.")
    begun = resources().clock.now()
    path, done = service.make(settings, target, (*settings.backup_recipients, *recipients), begun)
    seconds = (resources().clock.now() - begun).total_seconds()
    with command_context() as ctx:
        record(ctx, Action.BACKUP_MAKE, KIND, done.sha256, size=done.size, made_at=done.listed["made_at"], log_size=done.listed["log"])
    click.echo(f"{path}: {done.size} bytes in {seconds:.1f} s, read again and compared; SHA-256 {done.sha256}")


def state(ctx: Context, settings: Settings, folder: Path | None = None) -> dict[str, Any]:
    """Return what monitoring wants to know: the newest backup, the last drill, and what is wrong with them.

    With a folder the newest backup must lie there, as large as it was and with its SHA-256.
    """
    wrong, told = [], {}
    for name, action, hours in (
        ("backup", Action.BACKUP_MAKE, settings.backup_hours),
        ("drill", Action.BACKUP_DRILL, settings.drill_days * 24),
    ):
        query = (
            select(AuditEntry.at, AuditEntry.data, AuditEntry.object_id)
            .where(AuditEntry.action == str(action))
            .order_by(AuditEntry.id.desc())
            .limit(1)
        )
        row = ctx.session.execute(query).first()
        age = None if row is None else (ctx.now - row.at).total_seconds()
        told[name] = None if row is None else {"at": row.at.isoformat(timespec="seconds"), "age_seconds": round(age or 0), **row.data}
        if hours and (age is None or age > hours * 3600):
            wrong.append(f"no {name} within " + (f"{hours} hours" if name == "backup" else f"{hours // 24} days"))
        if folder is not None and name == "backup" and row is not None and not service.holds(folder, row.object_id):
            wrong.append(f"{folder} does not hold it as it was written")
    return {**told, "wrong": wrong}


class _Restore(click.Group):
    """A group whose first argument may be the name of a backup in the place of a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command that brings a backup back before what names no command."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args.insert(0, bring.name or "")
        return super().parse_args(ctx, args)


@click.group("restore", cls=_Restore)
def restore() -> None:
    """Bring a backup back (`restore SOURCE -i KEY`), and reconcile it with the witness (`restore reconcile`)."""


@restore.command("bring")
@with_appcontext
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--identity", "-i", type=FILE, required=True, help="The file with the private key.")
@click.option("--drill", is_flag=True, help="Bring it back beside what there is, examine it, throw it away, and record that.")
@click.option("--database", "into", metavar="URL", help="Fill this empty PostgreSQL database, and leave the one in use as it is.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
def bring(source: Path, identity: Path, drill: bool, into: str | None, yes: bool) -> None:
    """Bring SOURCE back. Nothing is replaced before all of it was read, compared and loaded; what there was is kept beside it."""
    held, keys = resources(), archive.identities_in(identity)
    now = held.clock.now()
    if drill:
        _drill(source, keys, now)
        return
    if into is None and not yes:
        click.confirm(f"The database in use is put aside, and {source} takes its place. Servers and workers are stopped?", abort=True)
    claim_home(held.settings)
    db.engine.dispose()
    to = Postgresql(normalise_url(into), into=True) if into else None
    done = service.restore(held.settings, source, keys, now, lambda engine: _want(held.settings, engine, now), to)
    click.echo(f"restored: {_told(done.listed)}")
    for one in done.before:
        click.echo(f"what there was: {one}")
    if into:
        click.echo("set SIFILMA_DATABASE_URL to that database")
        return
    ensure_softhsm(held.settings)
    if done.listed["schema"] == held.schema_head:
        with command_context() as ctx:
            record(ctx, Action.BACKUP_RESTORE, KIND, str(done.listed["made_at"]), log_size=done.listed["log"])
    for line in (*AFTER, RECONCILE if held.settings.witness else WITHOUT):
        click.echo(line)


def _want(settings: Settings, engine: Engine, now: datetime) -> None:
    """Have the database that was brought back issue nothing until it is reconciled, where there is a witness to reconcile it with."""
    if not settings.witness or not inspect(engine).has_table(Reconciliation.__tablename__):
        return
    with Session(engine) as session, session.begin():
        want(session, now)


restore.add_command(reconcile)


def _drill(source: Path, keys: list[Any], now: datetime) -> None:
    held = resources()
    found: list[str] = []

    def look(engine: Engine) -> None:
        report = examine(Installation(engine, held.settings, held.hsm, held.files, held.clock), without=(Needs.HSM,))
        found.extend(str(one) for one in report.findings)

    listed = service.try_out(held.settings, source, keys, look)
    seconds = round((held.clock.now() - now).total_seconds(), 1)
    for line in found[:20]:
        click.echo(line)
    if found:
        raise Conflict(f"The backup opens, and fsck names {len(found)} findings in it.")
    with command_context() as ctx:
        record(ctx, Action.BACKUP_DRILL, KIND, str(listed["made_at"]), seconds=seconds, log_size=listed["log"])
    click.echo(f"drill: {_told(listed)}; loaded, examined and thrown away in {seconds} s")


def _told(listed: dict[str, Any]) -> str:
    return (
        f"made {listed['made_at']}, {listed['cards']} cards, {listed['files']} files, {listed['entries']} entries, log of {listed['log']}"
    )
