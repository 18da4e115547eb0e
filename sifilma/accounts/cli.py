"""`sifilma users …`, `sifilma organisations …`: commands of the administrator of the server, needed before anybody can sign in."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import AppGroup
from sqlalchemy import select

from sifilma.accounts import service
from sifilma.accounts.import_table import ORGANISATIONS
from sifilma.accounts.queries import list_clashes
from sifilma.accounts.service import NewUser
from sifilma.identity.models import IdKind, Organisation, User
from sifilma.kernel.actor import Role
from sifilma.kernel.errors import Invalid
from sifilma.resources import resources
from sifilma.sign_in import resealing
from sifilma.web.command import command_context

users = AppGroup("users", help="Accounts.")
organisations = AppGroup("organisations", help="Organisations.")
MAX_ROWS = 5000


@users.command("invite")
@click.option("--username", required=True)
@click.option("--name", required=True)
@click.option("--id-kind", type=click.Choice([kind.value for kind in IdKind]), required=True)
@click.option("--id-number", required=True)
@click.option("--role", "roles", type=click.Choice([role.value for role in Role]), multiple=True, required=True)
@click.option("--organisation", required=True, help="The organisation's name.")
def invite(username: str, name: str, id_kind: str, id_number: str, roles: tuple[str, ...], organisation: str) -> None:
    """Invite somebody; prints the one-time link."""
    with command_context() as ctx:
        found = ctx.session.scalars(select(Organisation).where(Organisation.name == organisation)).first()
        if found is None:
            raise Invalid.field("organisation", f"There is no organisation called {organisation!r}.")
        new = NewUser(username, name, IdKind(id_kind), id_number, frozenset(Role(role) for role in roles))
        _, secret = service.invite(ctx, resources().settings, found, new)
    click.echo(f"{resources().settings.public_url}/undangan/{secret}")


@users.command("clashes")
def clashes() -> None:
    """List accounts whose persons have the same id number in two spellings. Exit 1 if there are any.

    They come from versions that told `ab12` from `AB12`. Find out whether it is one human being; then disable one of the two accounts.
    """
    with command_context() as ctx:
        ctx.uow.begin_read()
        found = list_clashes(ctx)
        for one, two in found:
            click.echo(f"{one.organisation.name}: {_named(one)} and {_named(two)}")
    if found:
        raise click.ClickException(f"{len(found)} pairs: disable one account of each, or ask for another id number")
    click.echo("no clashes")


@users.command("reseal")
@click.option("--vouch", "names", multiple=True, metavar="USERNAME", help="Seal this account as it is stored: you have looked at it.")
@click.option("--end", is_flag=True, help="End sessions, keys, invitations, passkeys and recovery codes whose seal does not fit.")
def reseal(names: tuple[str, ...], end: bool) -> None:
    """Seal with the current secret key what is sealed with the previous one. Exit 1 while a row has a seal that fits neither.

    Such a row was not written by this service, or under another secret key. It counts as absent (docs/security.md).
    """
    with command_context() as ctx:
        for name in names:
            resealing.vouch(ctx, name)
            click.echo(f"vouched for {name}")
        done = resealing.renew(ctx, resources().settings)
        left = [one for one in done.strangers if not (end and resealing.end(ctx, one))]
    for one in done.strangers:
        click.echo(f"{one}: its seal does not fit{'' if one in left else ', ended'}")
    click.echo(
        ", ".join(f"{count} {kind}" for kind, count in sorted(done.counts.items())) + " sealed anew" if done.counts else "all current"
    )
    if left:
        raise click.ClickException(f"{len(left)} rows count as absent: look at each, then --vouch the account, or --end the others")


def _named(user: User) -> str:
    return f"{user.username} ({user.person.name}, {user.person.id_number})"


@organisations.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def import_organisations(file: Path) -> None:
    """Import organisations from FILE (CSV or XLSX: kind, name, region_code, address). All or none; known ones are left alone."""
    with command_context() as ctx:
        new, known = ORGANISATIONS.read(ctx, file.read_bytes(), MAX_ROWS)
        ORGANISATIONS.register(ctx, new)
    click.echo(f"{len(new)} organisations added, {known} known already")
