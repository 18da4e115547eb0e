"""`sifilma hsm …`: the key ceremony, the inventory of keys, the check of the token."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from flask.cli import AppGroup
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from hsm import HSM, KeyKind, KeyPlan
from hsm.errors import HSMError, HSMKeyAmbiguous, HSMKeyMissing
from hsm.keys import MASTER, ROTATED, SIGNING_PLAN, label_of, master_plan, version_plan
from sifilma.activation.carrying import service as carrying
from sifilma.activation.trust import ceremonies as recorded
from sifilma.activation.trust import key_checks, keyset
from sifilma.activation.trust.key_checks import Record
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.custody import ceremonies, ceremony_file, closing, pairing, rotation
from sifilma.custody.ceremonies import Held
from sifilma.custody.ceremony_file import CeremonyFile, CeremonyRefused
from sifilma.custody.custodians import agree_on_transport, confirm, confirm_act, require_custodians
from sifilma.kernel.installation import claim_home
from sifilma.resources import ensure_softhsm, resources, root_token
from sifilma.web.command import command_context

group = AppGroup("hsm", help="Tokens and keys.")
ceremony_group = AppGroup("ceremony", help="The key ceremony: one reviewed file, a rehearsal, two custodians.")
group.add_command(ceremony_group)
pair_group = AppGroup("pair", help="A second HSM.")
group.add_command(pair_group)
FILE = click.Path(dir_okay=False, path_type=Path)
ask = partial(click.prompt, hide_input=True)


@group.command("init")
def init() -> None:
    """Make tokens and keys where they are missing, and publish a keyset signed by the root. In production a ceremony does that."""
    settings = resources().settings
    if settings.env == "production":
        raise CeremonyRefused("Keys of a real installation are made by a ceremony of two custodians: `sifilma hsm ceremony plan FILE`.")
    claim_home(settings)
    ensure_softhsm(settings)
    _require_trusted_clock()
    _tell(ceremonies.make(settings, resources().hsm, root_token(settings), resources().clock.now()))


def _require_trusted_clock() -> None:
    with command_context() as ctx:
        ctx.require_trusted_clock()  # certificates are dated for years
        recorded.require_next_version(ctx.session, resources().settings)


def _tell(held: Held, *, entered: bool = True) -> None:
    """Put what was made into the record of acts, and say it."""
    if entered:
        with command_context() as ctx:
            recorded.record_ceremony(ctx, resources().settings, held.trust)
    for label, count in held.keys.items():
        click.echo(f"token {label}: {count} keys sound")
    click.echo(f"record of keys: version {held.record.version}, {len(held.record.keys)} keys")
    trust = held.trust
    click.echo(f"keyset version {trust.keyset.version}, epoch {trust.epoch}, root SPKI SHA-256 {trust.pin}")


@ceremony_group.command("plan")
@click.argument("path", metavar="FILE", type=FILE)
@click.option("--custodian", "custodians", multiple=True, required=True, help="User name of a custodian; two are needed.")
def plan(path: Path, custodians: tuple[str, ...]) -> None:
    """Write the file of a ceremony: tokens, keys, attributes, check values, custodians. It is reviewed before it is used."""
    try:
        if not require_custodians(custodians):
            click.echo("the database knows no custodian yet: the names are taken as they are", err=True)
    except SQLAlchemyError:  # the file may be written before there is a database; whoever confirms it needs one
        click.echo("the database is away: whether these are custodians is seen when they confirm", err=True)
    sha256 = ceremony_file.write(path, ceremony_file.plan(resources().settings, custodians))
    click.echo(f"{path}: SHA-256 {sha256}")


@ceremony_group.command("run")
@click.argument("path", metavar="FILE", type=FILE)
@click.option("--rehearse", is_flag=True, help="Hold it on a software token that is thrown away; nothing of this installation is touched.")
def run(path: Path, rehearse: bool) -> None:
    """Make keys where they are missing as the file says, publish the keyset, and record every key. A rehearsal must come before."""
    settings = resources().settings
    file = ceremony_file.read(path, settings)
    if rehearse:
        now = resources().clock.now()
        _tell(ceremonies.rehearse(settings, now, file), entered=False)
        ceremony_file.note_rehearsal(file, now.isoformat())
        click.echo(f"rehearsed: {path} (SHA-256 {file.sha256}); the keys of the rehearsal are gone")
        return
    if settings.env in ("production", "training") and not file.is_rehearsed:
        raise CeremonyRefused(f"{path} was not rehearsed as it is: `sifilma hsm ceremony run {path} --rehearse`.")
    _begin(settings, file)
    now = resources().clock.now()
    agree = partial(_agree, settings, file)
    _tell(ceremonies.make(settings, resources().hsm, root_token(settings), now, file.custodians, file.sha256, agree))


@ceremony_group.command("record")
@click.argument("path", metavar="FILE", type=FILE)
def take_record(path: Path) -> None:
    """Record every key that is there, and make none: for an installation whose keys were made before keys were recorded."""
    settings = resources().settings
    file = ceremony_file.read(path, settings)
    _begin(settings, file)
    _tell(ceremonies.take_record(settings, resources().hsm, root_token(settings), resources().clock.now(), file))


def _begin(settings: Settings, file: CeremonyFile) -> None:
    """Have the custodians of a file confirm it."""
    claim_home(settings)
    ensure_softhsm(settings)
    _require_trusted_clock()
    confirm(settings, file.custodians, file.sha256, ask)


@pair_group.command("join")
@click.argument("path", metavar="FILE", type=FILE)
def join(path: Path) -> None:
    """Have the second HSM do whatever the first one does: signing keys of its own, and the next versions of the keys that both hold."""
    settings = resources().settings
    file = ceremony_file.read(path, settings)
    if settings.env in ("production", "training") and not file.is_rehearsed:
        raise CeremonyRefused(f"{path} was not rehearsed as it is: `sifilma hsm ceremony run {path} --rehearse`.")
    _begin(settings, file)
    now, agree = resources().clock.now(), partial(_agree, settings, file)
    signing, root = resources().hsm, root_token(settings)
    done = pairing.join(settings, signing, root, now, file.custodians, file.sha256, agree)
    _tell(Held({signing.tokens[1].label: done.keys}, done.trust, key_checks.load_record(settings)))
    click.echo(f"new cards get {MASTER}{done.master}, which both HSMs hold, when SIFILMA_MASTER_VERSION={done.master} is set")


@pair_group.command("status")
def status() -> None:
    """Say of each HSM whether it is used; exit 1 unless both are."""
    signing = resources().hsm
    health = signing.check()
    for label, one in (health.tokens or {signing.label: health}).items():
        click.echo(f"token {label}: {'in use' if one.ok else f'out: {one.last_error}'}")
    if not health.tokens:
        raise click.ClickException("there is one HSM")
    if health.is_degraded:
        raise click.ClickException("one HSM is out" if health.ok else "neither HSM can be used")


def _agree(settings: Settings, file: CeremonyFile, fingerprint: str) -> None:
    click.echo(f"transport key of the second HSM: SHA-256 {fingerprint}")
    agree_on_transport(settings, file.custodians, ask, fingerprint)


@group.command("rotate")
@click.argument("role", metavar="KEY", type=click.Choice(rotation.ROLES))
@click.option("--custodian", "custodians", multiple=True, help="User name of a custodian; two are needed.")
@click.option("--publish-only", is_flag=True, help="Make and publish the key, and use it at the next call: readers get the keyset before.")
def rotate(role: str, custodians: tuple[str, ...], publish_only: bool) -> None:
    """Make the next version of a key and use it. What the versions before it made stays valid; nothing is interrupted."""
    settings = resources().settings
    ensure_softhsm(settings)
    _require_trusted_clock()
    people = confirm_act(settings, custodians, ask)
    now, only = resources().clock.now(), publish_only
    with command_context() as ctx:
        entered = key_checks.entered(ctx.session, settings)
    done = rotation.rotate(settings, resources().hsm, root_token(settings), now, role, custodians, publish_only=only, entered=entered)
    with command_context() as ctx:
        recorded.record_ceremony(ctx, settings, done.trust)
        for one in people:
            record(replace(ctx, actor=one), Action.KEYS_ROTATE, "key", done.label, used=done.is_used, keyset=done.trust.keyset.version)
    click.echo(f"{done.label}: made, recorded, keyset version {done.trust.keyset.version}")
    if done.is_finished:
        click.echo("its rotation had broken off, and is finished now: no further version was made")
    if role == rotation.MASTER_ROLE:
        version = done.label.rpartition("-v")[2]
        click.echo(f"new cards get it when SIFILMA_MASTER_VERSION={version} is set and server and worker were started anew")
    else:
        click.echo("it is in use" if done.is_used else f"it waits: `sifilma hsm rotate {role}` uses it")


@group.command("compromise")
@click.argument("role", metavar="KEY", type=click.Choice(rotation.REVOKED))
@click.option("--custodian", "custodians", multiple=True, help="User name of a custodian; two are needed.")
@click.option("--version", type=int, help="The version that is revoked; by default the one in use.")
@click.option("--carry/--no-carry", default=True, help="Have the worker issue anew every manifest in force that falls; it does by default.")
def compromise(role: str, custodians: tuple[str, ...], version: int | None, *, carry: bool) -> None:
    """Revoke a signing key: its successor signs, what it signed verifies nowhere. The worker issues the manifests in force anew.

    Prints the manifests that fall, as CSV.
    """
    settings = resources().settings
    ensure_softhsm(settings)
    _require_trusted_clock()
    people = confirm_act(settings, custodians, ask)
    with command_context() as ctx:
        begun = rotation.unfinished(ctx.session, settings, role)
    if version is None and begun is not None:
        version = begun
        click.echo(f"an act on {label_of(role, version)} had broken off, and is finished now: no other key is revoked", err=True)
    done = rotation.compromise(settings, resources().hsm, root_token(settings), resources().clock.now(), role, custodians, version)
    with command_context() as ctx:
        recorded.record_ceremony(ctx, settings, done.trust)
        fallen = rotation.affected(ctx.session, done.kids)
        name, kids, count = done.label, done.kids, len(fallen)
        acts = [
            record(replace(ctx, actor=one), Action.KEYS_COMPROMISE, "key", name, kid=kids[0], kids=kids, manifests=count) for one in people
        ]
        wanted = kids if fallen and carry and role == "manifest-sign" else []
        total = sum(carrying.begin(ctx, acts[0], name, kid, carrying.COMPROMISED).total for kid in wanted)
    told = f"{done.label} is revoked in keyset version {done.trust.keyset.version}"
    click.echo(f"{told}; {len(fallen)} manifests in force fall with it; the worker issues {total} of them anew", err=True)
    lines = io.StringIO()
    csv.writer(lines).writerows([("sam_uid", "manifest", "organisation", "hardware_number"), *fallen])
    click.echo(lines.getvalue(), nl=False)


@group.command("reissue")
@click.argument("version", type=int)
@click.option("--custodian", "custodians", multiple=True, help="User name of a custodian; two are needed.")
def reissue(version: int, custodians: tuple[str, ...]) -> None:
    """Have the worker issue anew every manifest in force that a VERSION of manifest-sign signed: before the key is closed, or ends.

    Card, machine, place and end of each stay as they are. What an order before this one passed over is tried again.
    """
    settings = resources().settings
    ensure_softhsm(settings)
    _require_trusted_clock()
    label, kids, cause = rotation.replaced(settings, version)
    people = confirm_act(settings, custodians, ask)
    with command_context() as ctx:
        acts = [record(replace(ctx, actor=one), Action.KEYS_REISSUE, "key", label, kids=kids) for one in people]
        total = sum(carrying.begin(ctx, acts[0], label, kid, cause).total for kid in kids)
        click.echo(f"the worker issues {total} manifests of {label} anew")


@group.command("close")
@click.argument("role", metavar="KEY", type=click.Choice(rotation.ROLES))
@click.argument("version", type=int)
@click.option("--custodian", "custodians", multiple=True, help="User name of a custodian; two are needed.")
def close(role: str, version: int, custodians: tuple[str, ...]) -> None:
    """Destroy a VERSION of a key for good, once nothing needs it. What it signed verifies as before."""
    settings = resources().settings
    ensure_softhsm(settings)
    _require_trusted_clock()
    with command_context() as ctx:
        closing.require_closable(ctx.session, settings, role, version)
    people = confirm_act(settings, custodians, ask)
    label = closing.label(role, version)
    made = closing.close(settings, root_token(settings), resources().clock.now(), role, version, custodians)
    with command_context() as ctx:  # the entry, and the record for other nodes, first: a key is not destroyed without them
        recorded.record_ceremony(ctx, settings, keyset.load(settings))
        for one in people:
            record(replace(ctx, actor=one), Action.KEYS_CLOSE, "key", label)
    closing.destroy(resources().hsm, label)
    click.echo(f"{label} is destroyed; record of keys: version {made.version}")


@group.command("keys")
def keys() -> None:
    """Label, id, use and attributes of every planned key, as read back from the token, and how it compares with its record."""
    signing = resources().hsm
    made, wrong = key_checks.load_record(resources().settings), 0
    needed = _needed(made)
    for token in signing.tokens:
        if len(signing.tokens) > 1:
            click.echo(f"token {token.label}:")
        try:
            wrong += _tell_keys(token, made, needed)
        except HSMError as away:  # of two HSMs the other one is told all the same
            if len(signing.tokens) == 1:
                raise
            click.echo(f"  FAULT: {away}")
            wrong += 1
    for label in sorted(made.closed):
        click.echo(f"closed: {label}")
    for role, version in sorted(made.versions.items()):
        click.echo(f"in use for {role}: {label_of(role, version)}")
    click.echo(f"record of keys: version {made.version}" if made.version else "no record of keys: `sifilma hsm ceremony record FILE`")
    if wrong:
        raise click.ClickException(f"{wrong} keys are not what their template demands, or not what was recorded of them")


def _needed(made: Record) -> dict[str, list[str]]:
    """Return what needs each key that can be closed, by label; empty while the database is away."""
    settings, closable = resources().settings, [label for label in made.keys if closing.parted(label)[0] in rotation.ROLES]
    try:
        with command_context() as ctx:
            return {label: list(closing.needs(ctx.session, settings, *closing.parted(label))) for label in closable}
    except SQLAlchemyError:
        click.echo("the database is away: what needs each version is not known", err=True)
        return {}


def _tell_keys(token: HSM, made: Record, needed: Mapping[str, Sequence[str]]) -> int:
    """Say what the keys of a token are, and what needs each. Return how many are not sound."""
    differing = token.read_back()
    recorded = made.of(token.label)
    if token is not resources().hsm.tokens[0] and not made.has(token.label):
        click.echo("  it has not joined: `sifilma hsm pair join FILE`")
        return 1
    lingering = closing.lingering(made, token)
    for label in lingering:
        role, version = closing.parted(label)
        click.echo(f"{label:16} FAULTS: it is closed, and on this token still: `sifilma hsm close {role} {version}` destroys it")
    later = [version_plan(role, version) for role in ROTATED for version in made.known(role) if version > 1]
    masters = [master_plan(int(label.removeprefix(MASTER))) for label in made.keys if label.startswith(MASTER) and label != f"{MASTER}1"]
    wrong = len(lingering)
    for key in (*made.plan(SIGNING_PLAN), *later, *masters):
        known, holders = recorded.get(key.label), ", ".join(made.holders(key.label))
        if known is not None or not holders:
            plan = replace(key, carried=known is not None and known.is_carried)
            wrong += not _tell_key(token, plan, differing.get(key.label, ""), needed)
        elif key.label.startswith(MASTER):
            click.echo(f"{key.label:16} not on this token: cards of this version are issued by {holders} only")
        elif key.kind is not KeyKind.EC_SIGN:
            click.echo(f"{key.label:16} not on this token: what it made is opened and checked by {holders} only")
    return wrong


def _tell_key(hsm: HSM, key: KeyPlan, differs: str, needed: Mapping[str, Sequence[str]]) -> bool:
    """Say what a key is, and in what it differs from its record. Return whether it is sound."""
    try:
        [info] = hsm.keys((key,))
    except (HSMKeyMissing, HSMKeyAmbiguous) as fault:
        click.echo(f"{key.label:16} id {key.id.hex():6}  {key.kind.value:28} FAULTS: {fault}")
        return False
    faults = [*info.faults, *([differs] if differs else [])]
    sound = "sound, its attributes can still be changed" if info.is_open else "sound"
    click.echo(f"{info.label:16} id {info.id.hex():6}  {info.kind.value:28} {'FAULTS: ' + ', '.join(faults) if faults else sound}")
    click.echo("  " + " ".join(name for name, value in sorted(info.attributes.items()) if value))
    if key.label in needed:
        role, version = closing.parted(key.label)
        click.echo(f"  needed by: {', '.join(needed[key.label]) or f'nothing, `sifilma hsm close {role} {version}` destroys it'}")
    return not faults


@group.command("check")
def check() -> None:
    """Sign with the health key, verify in software, and see whether the keyset vouches for the token's keys."""
    hsm = resources().hsm
    health = hsm.check()
    if not health.ok:
        raise click.ClickException(f"the HSM does not work: {health.last_error}")
    published = keyset.load(resources().settings)
    for token in hsm.tokens:
        if token.label in hsm.out:
            click.echo(f"token {token.label} is out: {hsm.out[token.label]}")
            continue
        part = f"  {token.label}" if len(hsm.tokens) > 1 else ""
        for label, use in keyset.USES:
            try:
                click.echo(f"{label:16} {published.kid(token, token.current(label), use)}{part}")
            except HSMError as fault:
                raise click.ClickException(f"{label}: {fault}") from fault
    click.echo(f"the HSM works; keyset version {published.keyset.version}, root {published.pin}")
