"""The `sifilma` command: commands that need no application, and those that the application attaches."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import click
from flask.cli import FlaskGroup, ScriptInfo
from sqlalchemy.exc import SQLAlchemyError

from config.settings import SettingsError
from hsm.errors import HSMError
from manifests import cli as manifests_cli
from sifilma import demo
from sifilma.commands import doctor
from sifilma.commands import serve as server
from sifilma.commands.applications import application_for
from sifilma.commands.witness import witness
from sifilma.kernel.errors import SifilmaError
from sifilma.kernel.outages import is_outage


class Group(FlaskGroup):
    """Flask's group without Flask's own options. Its help works even if the settings are refused."""

    def make_context(self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any) -> click.Context:
        """Return the context, with an application that suits the command: it may work, or only look."""
        extra.setdefault("obj", ScriptInfo(create_app=partial(application_for, list(args)), set_debug_flag=False))
        return super().make_context(info_name, args, parent, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all commands, or only those that need no application if the settings cannot be used to make one."""
        try:
            ctx.ensure_object(ScriptInfo).load_app()
        except SettingsError:
            return sorted(self.commands)
        return super().list_commands(ctx)


@click.group(
    cls=Group,
    add_default_commands=False,
    add_version_option=False,
    load_dotenv=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
def cli() -> None:
    """SI-FILMA: the life of a SAM card, from the first request to its destruction."""


# Flask's options (--app, --env-file …) make no sense here: the group makes its application itself.
cli.params = []


@cli.group("manifest", help="Manifests, without a database.")
def manifest() -> None:
    """Hold the commands about manifests."""


@manifest.command("verify", with_appcontext=False, context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def verify(arguments: tuple[str, ...]) -> None:
    """Verify manifests, as `python -m manifests verify` does."""
    sys.exit(manifests_cli.main(["verify", *arguments]))


cli.add_command(witness)


@cli.command("up", with_appcontext=False)
@click.option("--port", type=int, envvar="PORT", help="The port to listen on; default 8000.")
@click.option("--prepare-only", is_flag=True, help="Make everything ready, but do not serve.")
def up(port: int | None, prepare_only: bool) -> None:
    """Make everything this installation needs (tokens, keys, database, regions, demo accounts), then serve."""
    server.up(port, serve=not prepare_only)


@cli.command("doctor", with_appcontext=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of lines.")
@click.option("--strict", is_flag=True, help="Exit with 1 for what is to be looked at, too.")
def doctor_command(as_json: bool, strict: bool) -> None:
    """Print what is set, missing, weak or away, and what to do. Changes nothing; exit 1 if anything failed.

    It signs in to the token once: with a wrong PIN that uses up one of the token's tries.
    """
    if not doctor.examine(as_json, strict):
        sys.exit(1)


@cli.command("serve", with_appcontext=False)
def serve() -> None:
    """Serve. Nothing is made or migrated: see `hsm init` and `db upgrade`."""
    server.serve()


@cli.command("demo", with_appcontext=False)
@click.option("--url", envvar="SIFILMA_DEMO_URL", help="The URL of the running server; default: the one that `make run` started.")
@click.option("--code", "who", metavar="USERNAME", help="Print this account's password and its present one-time code instead of playing.")
def play(url: str | None, who: str | None) -> None:
    """Play a card's whole life over HTTP against a running server, and tell each step."""
    if who is None:
        demo.play(url)
    else:
        demo.tell_code(who)


def main() -> None:
    """Run the command. Refusals and faults are printed, one sentence a line, with exit status 1."""
    try:
        cli.main(prog_name="sifilma")
    except (SettingsError, SifilmaError, HSMError) as refused:
        for sentence in str(refused).splitlines():
            click.echo(f"sifilma: {sentence}", err=True)
        sys.exit(1)
    except SQLAlchemyError as fault:
        if not is_outage(fault):
            raise
        told = str(getattr(fault, "orig", None) or fault).splitlines()[0]
        click.echo(f"sifilma: The database did not answer ({told}). What was not committed has not happened; repeat the command.", err=True)
        sys.exit(1)
