"""`sifilma restore reconcile`: the ceremony after a restore."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
from flask.cli import with_appcontext

from sifilma.activation.trust import told
from sifilma.custody.custodians import confirm_act
from sifilma.kernel.errors import Conflict
from sifilma.reconciliation import questions, service
from sifilma.reconciliation.service import Held
from sifilma.resources import ensure_softhsm, resources, root_token
from sifilma.web.command import command_context
from sifilma.witness.contract import Witness
from sifilma.witness.mail import MailWitness, gathered
from sifilma.witness.opening import open_witness


@click.command("reconcile")
@with_appcontext
@click.option("--custodian", "custodians", multiple=True, help="User name of a custodian; two are needed.")
@click.option(
    "--statements",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="For a mailbox as witness: the folder in which its messages were saved.",
)
def reconcile(custodians: tuple[str, ...], statements: Path | None) -> None:
    """Have a restored database go on from what its witness knows. Needs the root token. What was broken off goes on at the next call."""
    held = resources()
    settings = held.settings
    witness: Witness | None = open_witness(settings)
    if witness is None:
        raise Conflict("SIFILMA_WITNESS is not set: without a witness nobody knows what was issued after the backup.")
    if isinstance(witness, MailWitness):
        if statements is None:
            raise Conflict("A mailbox cannot be asked: save its messages into a folder, and name that with --statements.")
        witness = gathered(statements, partial(told.keys_for, settings), witness)
    elif statements is not None:
        raise Conflict("--statements is for a mailbox; this witness is asked itself.")
    ensure_softhsm(settings)
    people = confirm_act(settings, custodians, lambda text: str(click.prompt(text, hide_input=True)))
    service.reconcile(Held(command_context, settings, held.hsm, root_token(settings), witness, people), click.echo)
    with command_context() as ctx:
        ctx.uow.begin_read()
        waiting = ctx.session.scalar(questions.undecided_query()) or 0
    click.echo(f"issuing goes on; {waiting} questions wait for people (Setelah pemulihan)")
