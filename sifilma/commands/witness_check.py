"""What `sifilma doctor` says of the witness."""

from __future__ import annotations

from config.settings import Settings
from sifilma.commands.doctor_lines import Lines, fail, ok, warn
from sifilma.public.status import LATE
from sifilma.web.command import command_context
from sifilma.witness import reserved, row, standing
from sifilma.witness.standing import State


def witness(settings: Settings) -> Lines:
    """Whether there is a witness, whether database and witness know the same, and how long issuing goes on without it."""
    if not settings.witness:
        yield warn("SIFILMA_WITNESS is not set: a database that is brought back gives numbers out a second time.")
        return
    with command_context() as ctx:
        ctx.uow.begin_read()
        found, now = standing.of(ctx.session).compare(ctx.session), ctx.now
        left = reserved.left(ctx.session, settings, now)
        since = row.untold_since(ctx.session)
    if found.state is State.SOUND:
        yield ok(f"The witness has {found.told} statements, and the database {found.own}.")
    else:
        yield (warn if found.state is State.AWAY else fail)(f"The witness is {found.state}: {found.why}.")
    if since is not None and now - since > LATE:
        yield warn(f"The witness lacks statements since {since:%Y-%m-%d %H:%M:%S} UTC: does a worker run?")
    for one in left:
        if one.is_short:
            days = f", {one.days:.1f} days at the pace of today" if one.days is not None else ""
            yield warn(f"{one.name}: {one.numbers} numbers may leave{days}; then issuing stops until the witness is back.")
