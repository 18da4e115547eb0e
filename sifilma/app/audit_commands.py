"""`sifilma audit …`: the commands of the transparency log.

They are here and not in `audit`, because `activation.trust` says whose signatures count, and `audit` may not import it.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import structlog
from flask.cli import AppGroup

from hsm import HSM
from sifilma.activation.trust import keyset
from sifilma.audit import checkpoints, export, sequencing, verification
from sifilma.audit.models import LogFault, Standing
from sifilma.audit.note import Checkpoint
from sifilma.audit.store import LogBroken
from sifilma.audit.witnessed import newest_cosigned_note, note_fault, note_success
from sifilma.kernel.context import Context
from sifilma.resources import resources
from sifilma.web.command import command_context
from sifilma.witness.log_witness import MEMORY, LogWitness, WitnessUnknown, log_name, open_log_witness, show_newest

group = AppGroup("audit", help="The transparency log.")
log = structlog.get_logger()
ROUND_SECONDS = 10.0
"""How long the worker takes entries into the log before it does its other work."""


def take_entries(seconds: float = ROUND_SECONDS) -> int:
    """Take waiting entries into the log, in batches, for about `seconds`. Return how many were taken."""
    total, taken, until = 0, sequencing.BATCH, time.monotonic() + seconds
    while taken == sequencing.BATCH and time.monotonic() < until:
        with command_context() as ctx:
            taken = sequencing.append(ctx)
        total += taken
    return total


def sign_checkpoint(*, now: bool = False) -> int:
    """Sign a checkpoint if it is due (or `now`). Return how many were signed. Raise as `checkpoints.sign` does.

    What the witness has seen must be continued; what is wrong is written down for `/status` and metrics, and raised.
    """
    try:
        with command_context() as ctx:
            signed = _signed(ctx, now)
            if signed:
                note_success(ctx, Standing.SIGNING)
            return int(signed)
    except LogBroken as broken:
        _alarm(LogFault.FORKED, broken.detail)
        raise
    except WitnessUnknown as unknown:
        _alarm(LogFault.AWAY, unknown.detail)
        raise


def _signed(ctx: Context, now: bool) -> bool:
    held = resources()
    ctx.uow.begin_read()
    name = log_name(ctx.session, held.settings)
    ctx.uow.end_read()
    witness = _witness(name)

    def witnessed() -> Checkpoint | None:
        return None if witness is None else MEMORY.newest(witness)

    def sign(token: HSM) -> int | None:
        signer = keyset.Vouched(token, held.settings, held.clock)
        return checkpoints.sign(ctx, held.settings, signer, now=now, name=name, witnessed=witnessed)

    return held.hsm.through(sign) is not None


def show_checkpoint() -> int:
    """Show the newest checkpoint to the witness, if there is one, and keep its cosignature. Return how many were stored."""
    with command_context() as ctx:
        ctx.uow.begin_read()
        witness = _witness(log_name(ctx.session, resources().settings))
        return 0 if witness is None else show_newest(ctx, witness)


def _witness(name: str) -> LogWitness | None:
    settings = resources().settings
    return open_log_witness(settings, name, lambda: keyset.load(settings).all_keys("audit"))


def _alarm(fault: LogFault, told: str) -> None:
    """Write down that nothing is signed, in a transaction of its own: that of the signature is rolled back."""
    log.error("log_not_signed", fault=str(fault), reason=told)
    with command_context() as ctx:
        ctx.uow.begin_read()
        note_fault(ctx, Standing.SIGNING, fault, told)


def keep_log(*, now: bool = False) -> int:
    """Take every waiting entry into the log and sign a checkpoint when it is due (or `now`). Return how many were taken."""
    taken = take_entries(float("inf"))
    sign_checkpoint(now=now)
    return taken


@group.command("sequence")
def sequence() -> None:
    """Take waiting entries into the log and sign a checkpoint now. The worker does this all the time."""
    click.echo(f"{keep_log(now=True)} entries taken into the log")


@group.command("checkpoint")
@click.option("--cosigned", is_flag=True, help="Print the newest one that a witness has cosigned, with its cosignature.")
def checkpoint(cosigned: bool) -> None:
    """Print the newest checkpoint. Keep it where nobody of this installation can change it."""
    with command_context() as ctx:
        ctx.uow.begin_read()
        note = newest_cosigned_note(ctx.session) if cosigned else checkpoints.get_newest(ctx.session).note
    if note is None:
        raise click.ClickException("no witness has cosigned a checkpoint")
    click.echo(note, nl=False)


@group.command("verify")
@click.option(
    "--checkpoint",
    "files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="A checkpoint kept elsewhere.",
)
def verify(files: tuple[Path, ...]) -> None:
    """Hash every entry again, rebuild the tree and check every checkpoint. Name what is broken; exit 1 if anything is."""
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
    """Write leaves, checkpoints and keys to standard output, as JSON lines that a stranger can verify. No personal data."""
    settings = resources().settings
    with command_context() as ctx:
        for line in export.lines(ctx, log_name(ctx.session, settings), keyset.load(settings).keys("audit")):
            click.echo(line, nl=False)
