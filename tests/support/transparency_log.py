"""Helpers for tests of the transparency log: they grow it, verify it, and change it as a superuser of the database."""

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
from sifilma.witness.log_witness import MEMORY
from tests.support.world import World


def act(world: World, count: int = 1) -> list[str]:
    """Record `count` acts; return the ids of their entries."""
    with world.context() as ctx:
        return [str(record(ctx, Action.UNIT_CHANGE, "unit", secret_hash(str(n)), note=f"catatan {n}").id) for n in range(count)]


def sequence(world: World) -> int:
    """Sequence all waiting entries and sign a checkpoint, as the worker does; return how many were sequenced."""
    with world.app.app_context():
        return audit_commands.keep_log(now=True)


def grown(world: World, *parts: int) -> None:
    """Grow the log by `parts` entries each, with a checkpoint after each part."""
    for part in parts:
        act(world, part)
        sequence(world)


def verify(world: World, *kept: str, beside: bool = True, newest: int | None = None) -> Report:
    """Verify the log against the checkpoints in the database, the copy beside it (if `beside`), and the texts in `kept`."""
    notes = [*(checkpoints.kept_note(world.settings) if beside else []), *kept]
    with world.context() as ctx:
        return verification.verify(ctx, world.trust.keys("audit"), notes, newest)


def newest_note(world: World) -> str:
    """Return the text of the newest checkpoint."""
    with world.context() as ctx:
        return checkpoints.get_newest(ctx.session).note


def as_superuser(world: World, *statements: str, **values: Any) -> None:
    """Run SQL in one transaction without triggers, and install the triggers again, as an owner of the database could."""
    with world.app.app_context(), db.engine.begin() as connection:
        triggers.uninstall(connection)
        for statement in statements:
            connection.execute(text(statement), {name: value for name, value in values.items() if f":{name}" in statement})
        triggers.install(connection)


def show(world: World) -> int:
    """Show the newest checkpoint to the witness, as the worker does; return how many cosignatures were stored."""
    with world.app.app_context():
        return audit_commands.show_checkpoint()


def put_back(world: World, size: int) -> None:
    """Have database and node be as they were when the log had this size, as a restore of both does."""
    as_superuser(
        world,
        f"DELETE FROM log_cosignature WHERE size > {size}",
        f"DELETE FROM log_checkpoint WHERE size > {size}",
        f"DELETE FROM audit_entry WHERE id IN (SELECT entry_id FROM log_leaf WHERE seq >= {size})",
        f"DELETE FROM log_leaf WHERE seq >= {size}",
        f"DELETE FROM log_node WHERE (idx + 1) * (1 << height) > {size}",
    )
    (world.settings.trust / "log-checkpoint.txt").write_text(newest_note(world))
    MEMORY.forget()
