"""The transparency log in tests: growing it, verifying it, and breaking it as the database's superuser."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from sifilma.app import audit_commands
from sifilma.audit import checkpoints, verification
from sifilma.audit.findings import Report
from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.kernel import triggers
from sifilma.kernel.db import db
from sifilma.sign_in.authentication import secret_hash
from tests.support.world import World


def act(world: World, count: int = 1) -> list[str]:
    """So many acts; the ids of their entries."""
    with world.context() as ctx:
        return [str(record(ctx, Action.UNIT_CHANGE, "unit", secret_hash(str(n)), note=f"catatan {n}").id) for n in range(count)]


def sequence(world: World) -> int:
    """What the worker does: take in everything that waits, and sign; how many were taken in."""
    with world.app.app_context():
        return audit_commands.keep_log(now=True)


def grown(world: World, *parts: int) -> None:
    """A log with a checkpoint after each part."""
    for part in parts:
        act(world, part)
        sequence(world)


def verify(world: World, *kept: str, beside: bool = True, newest: int | None = None) -> Report:
    """A verification against the database's checkpoints, the copy beside it, and what was kept elsewhere."""
    notes = [*(checkpoints.kept_note(world.settings) if beside else []), *kept]
    with world.context() as ctx:
        return verification.verify(ctx, world.trust.keys("audit"), notes, newest)


def newest_note(world: World) -> str:
    """The newest checkpoint's text."""
    with world.context() as ctx:
        return checkpoints.newest(ctx.session).note


def as_superuser(world: World, *statements: str, **values: Any) -> None:
    """Run SQL past every trigger, in one transaction, and put the triggers back: what somebody who owns the database can do."""
    with world.app.app_context(), db.engine.begin() as connection:
        triggers.uninstall(connection)
        for statement in statements:
            connection.execute(text(statement), {name: value for name, value in values.items() if f":{name}" in statement})
        triggers.install(connection)
