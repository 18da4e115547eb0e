"""`sifilma witness …`: the server of a witness, on another host than the installation's. It needs none of the installation's settings."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import AppGroup

from sifilma.app.asgi import Front
from sifilma.audit.note import NoteRefused
from sifilma.audit.offline import key_in
from sifilma.commands.supervisor import Supervisor, listen
from sifilma.kernel import logging
from sifilma.witness import cosigning
from sifilma.witness.statements import MAX_BYTES
from sifilma.witness.views import application

SECONDS = 10.0
"""How long the head of a request, its body, and the end of the server may take, each."""
FOLDER = click.Path(path_type=Path, file_okay=False)
PEM = click.Path(path_type=Path, exists=True, dir_okay=False)

witness = AppGroup("witness", help="The server of a witness, on another host.")


@witness.command("set-up", with_appcontext=False)
@click.argument("folder", type=FOLDER)
@click.option("--name", required=True, help="The witness's name: a host name and path of its own, such as witness.example.go.id/sam.")
@click.option("--origin", required=True, help="The log's name: the first line of its checkpoints.")
@click.option("--key", "keys", type=PEM, multiple=True, required=True, help="The certificate or public key that signs the log (PEM).")
def set_up(folder: Path, name: str, origin: str, keys: tuple[Path, ...]) -> None:
    """Make a witness of one log in FOLDER, which is new or empty. Print what SIFILMA_WITNESS_KEY of the installation is set to."""
    try:
        made = cosigning.set_up(folder, name, origin, [key_in(path) for path in keys])
    except (cosigning.WitnessBroken, NoteRefused) as refused:
        raise click.ClickException(str(refused)) from refused
    click.echo(made.cosigner.vkey)


@witness.command("trust", with_appcontext=False)
@click.argument("folder", type=FOLDER)
@click.argument("key", type=PEM)
@click.option("--origin", default="", help="The log's name, where a restored installation goes on under another one.")
def trust(folder: Path, key: Path, origin: str) -> None:
    """Take what a further key of the log signs, after a ceremony made one: certificate or public key, PEM."""
    try:
        cosigning.trust(folder, key_in(key), origin)
    except (cosigning.WitnessBroken, NoteRefused) as refused:
        raise click.ClickException(str(refused)) from refused


@witness.command("serve", with_appcontext=False)
@click.argument("folder", type=FOLDER)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; TLS is a proxy's matter.")
@click.option("--port", default=8100, show_default=True, help="The port to listen on.")
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 8), help="Server processes.")
def serve(folder: Path, host: str, port: int, processes: int) -> None:
    """Keep statements and cosign checkpoints in FOLDER, which `set-up` made."""
    logging.configure("INFO", as_json=True)
    try:
        app = application(folder)
    except cosigning.WitnessBroken as refused:
        raise click.ClickException(str(refused)) from refused
    front = Front(app, threads=4, seconds=SECONDS, largest=MAX_BYTES)
    listener = listen(host, port)
    click.echo(f"the witness listens on {host}:{listener.getsockname()[1]}")
    Supervisor(front, listener, count=processes, drain=SECONDS, still=3 * SECONDS, head=SECONDS).run()
