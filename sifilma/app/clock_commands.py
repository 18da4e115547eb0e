"""`sifilma clock …`: what is known about the clock, and the word of people that it is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import click
from flask.cli import AppGroup

from config.settings import Settings
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.identity.permissions import Operation, grants
from sifilma.kernel.actor import SYSTEM, Actor
from sifilma.kernel.context import Context
from sifilma.kernel.errors import Conflict, Forbidden
from sifilma.kernel.timekeeping import stops
from sifilma.kernel.timekeeping.watch import ClockWatch, Finding, Reason, read
from sifilma.resources import resources
from sifilma.sign_in.service import prove_presence
from sifilma.web.command import command_context

group = AppGroup("clock", help="The clock.")
WHY = {
    Reason.STEPPED: "it was set: it is {by} of the last trusted moment and the seconds since then",
    Reason.DATABASE: "it is {by} of the database's clock",
    Reason.SIGNED: "it is {by} of the newest signed record",
    Reason.BACKWARDS: "the machine was started anew, and it is {by} of the last trusted moment",
    Reason.AHEAD: "the machine was started anew, and it is {by} of the last trusted moment",
}


@group.command("status")
def status() -> None:
    """Print what is known about the clock. Exit 1 if it is not trusted."""
    watch = resources().watch
    with command_context() as ctx:
        ctx.uow.begin_read()
        found = watch.look(ctx.session)
        known = read(ctx.session, watch.clock)
        age = stops.worker_age(ctx.session, watch)
    click.echo(f"clock                {_moment(watch.clock.now())}")
    click.echo(f"last trusted moment  {_moment(known.trusted.at) if known.trusted else 'none yet'}")
    click.echo(f"newest signature     {_moment(known.signed) if known.signed else 'none yet'}")
    click.echo(f"worker               {'no sign of life yet' if age is None else f'last sign of life {age:.0f} s ago'}")
    if found is not None:
        raise click.ClickException(f"the clock is not trusted: {why(found)}; {_then(found)}")
    click.echo("the clock is trusted")


@group.command("accept")
@click.option("--username", "usernames", multiple=True, help="Who accepts; asked for if it is not given. In production two persons.")
def accept(usernames: tuple[str, ...]) -> None:
    """Take the present moment as right after the clock was not trusted. In production two central persons confirm it by their codes."""
    settings, watch = resources().settings, resources().watch
    found = _find_stop(watch)
    if found is None:
        click.echo("the clock is trusted: there is nothing to accept")
        return
    if _differs_from_the_database(watch):
        raise Conflict("The database's clock shows another time: set the wrong one of the two right first.")
    click.echo(f"The clock shows {_moment(watch.clock.now())}. It is not trusted: {why(found)}.")
    people = _confirmed(settings, usernames)
    with command_context() as ctx:
        _accept(ctx, watch, found, people)
    click.echo("the clock is accepted")


def accept_in_demo(settings: Settings) -> None:
    """Take the present moment as right without asking anybody, and record that: a demonstration may have been switched off for days."""
    watch = resources().watch
    if settings.is_demo and (found := _find_stop(watch)) is not None:
        with command_context() as ctx:
            _accept(ctx, watch, found, [SYSTEM])
        click.echo(f"demo: the clock is accepted as it is ({why(found)})")


def why(found: Finding) -> str:
    """Return the reason in words for whoever runs the service."""
    seconds = abs(found.seconds)
    span = (
        f"{seconds / 86400:.1f} days" if seconds >= 2 * 86400 else f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds:.0f} s"
    )
    return WHY[found.reason].format(by=f"{span} {'ahead' if found.seconds > 0 else 'behind'}")


def _then(found: Finding) -> str:
    if found.waits:
        return "look at it, then `sifilma clock accept`"
    return "it is trusted again when it is set right; if it is right as it is, `sifilma clock accept`"


def _find_stop(watch: ClockWatch) -> Finding | None:
    with command_context() as ctx:
        ctx.uow.begin_read()
        return watch.look(ctx.session)


def _differs_from_the_database(watch: ClockWatch) -> bool:
    """Return whether the two clocks differ now. The reason of a stop that waits for people tells only how it began."""
    with command_context() as ctx:
        ctx.uow.begin_read()
        return abs(read(ctx.session, watch.clock).database) > watch.tolerance


def _confirmed(settings: Settings, usernames: Sequence[str]) -> list[Actor]:
    """Return the persons who confirm, each by the present code of an authenticator.

    Raise Forbidden for a person who may not, or who comes twice, and Unauthenticated for a wrong code. A code proves the time to a minute.
    """
    needed = 1 if settings.env in ("demo", "test") else 2
    people: list[Actor] = []
    for number in range(max(needed, len(usernames))):
        name = usernames[number] if number < len(usernames) else click.prompt(f"user name ({number + 1} of {needed})")
        code = click.prompt(f"present code of {name}", hide_input=True)
        with command_context() as ctx:
            # By the clock as it is: it is what they confirm.
            actor = prove_presence(replace(ctx, watch=None), settings, name, code)
        if not grants(actor, Operation.CLOCK_ACCEPT):
            raise Forbidden(f"{name} may not accept the clock: approvers, operators and user administrators may.")
        if actor.person_id in {one.person_id for one in people}:
            raise Forbidden("Two different persons accept the clock.")
        people.append(actor)
    return people


def _accept(ctx: Context, watch: ClockWatch, found: Finding, people: Sequence[Actor]) -> None:
    watch.forget()
    facts: dict[str, Any] = {"reason": str(found.reason), "seconds": round(found.seconds)}
    acts = [record(replace(ctx, actor=one), Action.CLOCK_ACCEPT, "clock", str(found.reason), **facts) for one in people]
    stops.accept(ctx, watch, found, acts[-1].id)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
