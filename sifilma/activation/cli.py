"""`sifilma hsm …`: the key ceremony, the inventory of keys, the check of the token."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from config.soundness import is_softhsm
from hsm import ceremony
from hsm.errors import HSMError
from hsm.keys import ROOT_PLAN, SIGNING_PLAN
from sifilma.activation.trust import ceremonies, keyset
from sifilma.kernel.installation import claim_home
from sifilma.resources import ensure_softhsm, resources, root_token
from sifilma.web.command import command_context

group = AppGroup("hsm", help="Tokens and keys.")


@group.command("init")
def init() -> None:
    """Make tokens and keys where they are missing, and publish a keyset signed by the root."""
    settings = resources().settings
    claim_home(settings)
    ensure_softhsm(settings)
    soft = is_softhsm(settings.hsm_module)
    signing, root = resources().hsm, root_token(settings)
    for token, plan in ((signing, SIGNING_PLAN), (root, ROOT_PLAN)):
        made = soft and ceremony.init_token(token, settings.secret("hsm_so_pin"))  # an HSM's tokens are made by its maker's tool
        keys = ceremony.create_keys(token, plan)
        click.echo(f"token {token.config.token_label}: {'made' if made else 'found'}, {len(keys)} keys sound")
    with command_context() as ctx:
        ctx.require_trusted_clock()  # certificates are dated for years
    published = keyset.publish(settings, signing, root, resources().clock.now())
    with command_context() as ctx:
        ceremonies.record_ceremony(ctx, settings, published)
    click.echo(f"keyset version {published.keyset.version}, epoch {published.epoch}, root SPKI SHA-256 {published.pin}")


@group.command("keys")
def keys() -> None:
    """Label, id, use and attributes of every planned key, as read back from the token."""
    wrong = 0
    for info in resources().hsm.keys(SIGNING_PLAN):
        wrong += bool(info.faults)
        click.echo(
            f"{info.label:16} id {info.id.hex()}  {info.kind.value:28} {'FAULTS: ' + ', '.join(info.faults) if info.faults else 'sound'}"
        )
        click.echo("  " + " ".join(name for name, value in sorted(info.attributes.items()) if value))
    if wrong:
        raise click.ClickException(f"{wrong} keys are not what their template demands")


@group.command("check")
def check() -> None:
    """Sign with the health key, verify in software, and see whether the keyset vouches for the token's keys."""
    hsm = resources().hsm
    health = hsm.check()
    if not health.ok:
        raise click.ClickException(f"the HSM does not work: {health.last_error}")
    published = keyset.load(resources().settings)
    for label, use in keyset.USES:
        try:
            click.echo(f"{label:16} {published.kid(hsm, label, use)}")
        except HSMError as fault:
            raise click.ClickException(f"{label}: {fault}") from fault
    click.echo(f"the HSM works; keyset version {published.keyset.version}, root {published.pin}")
