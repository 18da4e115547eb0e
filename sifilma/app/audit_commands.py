"""`sifilma audit …`: the transparency log. Above the packages, because whose signatures count is said by activation's trust."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import AppGroup

from sifilma.activation.trust import keyset
from sifilma.audit import checkpoints, export, sequencing, verification
from sifilma.resources import resources
from sifilma.web.command import command_context

group = AppGroup("audit", help="The transparency log.")


def keep_log(*, now: bool = False) -> int:
    """Take every waiting entry into the log, batch by batch, and sign when it is time (or `now`); how many were taken."""
    total, taken = 0, sequencing.BATCH
    while taken == sequencing.BATCH:
        with command_context() as ctx:
            taken = sequencing.append(ctx)
        total += taken
        with command_context() as ctx:
            checkpoints.sign(ctx, resources().settings, resources().hsm, now=now and taken < sequencing.BATCH)
    return total


@group.command("sequence")
def sequence() -> None:
    """What the worker does all the time, at once: take waiting entries into the log and sign a checkpoint."""
    click.echo(f"{keep_log(now=True)} entries taken into the log")


@group.command("checkpoint")
def checkpoint() -> None:
    """Print the newest checkpoint: keep it where nobody of this installation can reach it."""
    with command_context() as ctx:
        ctx.uow.begin_read()
        click.echo(checkpoints.get_newest(ctx.session).note, nl=False)


@group.command("verify")
@click.option(
    "--checkpoint", "files", type=click.Path(path_type=Path, exists=True, dir_okay=False), multiple=True, help="One kept elsewhere."
)
def verify(files: tuple[Path, ...]) -> None:
    """Hash every entry again, rebuild the tree, check every checkpoint; name what is broken, exit 1 if anything is."""
    settings = resources().settings
    kept = [*checkpoints.kept_note(settings), *(path.read_text() for path in files)]
    with command_context() as ctx:
        report = verification.verify(ctx, keyset.load(settings).keys("audit"), kept)
    for found in report.findings:
        click.echo(f"{found.fault}: {found.text}")
    for fault, count in report.more.items():
        click.echo(f"{fault}: and {count} more")
    click.echo(f"{report.size} entries, {report.checkpoints} checkpoints; {report.waiting} entries wait to be taken into the log")
    if not report.ok:
        raise click.ClickException("the log is not what was signed")


@group.command("export")
def export_() -> None:
    """Write leaves, checkpoints and the key to standard output, as JSON lines a stranger can verify; no personal data."""
    settings = resources().settings
    with command_context() as ctx:
        for line in export.lines(ctx, settings.log_name, keyset.load(settings).keys("audit")):
            click.echo(line, nl=False)
