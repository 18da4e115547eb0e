"""Changes of rows that acts rest on: by an act, and past everything, as a superuser of the database can."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, text

from sifilma.audit.models import Action
from sifilma.audit.service import record
from sifilma.cards.models import Unit
from sifilma.kernel import triggers
from sifilma.kernel.db import db
from tests.support.world import World


def change_unit(world: World, number: str, **values: Any) -> None:
    """Change columns of a unit by an act of the system."""
    with world.context() as ctx:
        unit = ctx.session.scalars(select(Unit).where(Unit.hardware_number == number)).one()
        for name, value in values.items():
            setattr(unit, name, value)
        record(ctx, Action.UNIT_CHANGE, "unit", unit.id, rows=[unit])


def past_the_triggers(world: World, *statements: str, **values: Any) -> None:
    """Run SQL with the triggers taken off, and put them back afterwards."""
    with world.app.app_context(), db.engine.begin() as connection:
        triggers.uninstall(connection)
        for statement in statements:
            connection.execute(text(statement), values)
        triggers.install(connection)
