"""Rows that stood before acts recorded them (migration 0024)."""

from __future__ import annotations

import json

from sqlalchemy import select, text, update

from sifilma.audit.models import AuditEntry
from sifilma.audit.recorded import kinds
from sifilma.fsck.run import examine
from sifilma.kernel import triggers
from sifilma.kernel.db import make_engine
from sifilma.schema import migrate
from tests.audit.row_changes import change_unit, past_the_triggers
from tests.fsck.conftest import installation
from tests.schema.second import back_to_0022
from tests.support.world import World


def test_rows_in_place_are_adopted_as_they_are_found_in_one_act(world: World) -> None:
    """0024: before it, entries said nothing of rows."""
    world.active()
    world.institution_ready()
    engine = make_engine(world.settings.database_url, pool_size=1)
    with engine.begin() as connection:
        triggers.uninstall(connection)
        back_to_0022(connection)
        connection.execute(text("UPDATE person SET name = 'Diubah Sebelumnya'"))  # whoever upgrades vouches for it
        for entry in connection.execute(select(AuditEntry)).all():
            said = {name: value for name, value in entry.data.items() if name not in ("row_sha256", "rows_sha256", "provinces")}
            connection.execute(update(AuditEntry).where(AuditEntry.id == entry.id).values(data=said))
    engine.dispose()
    migrate.upgrade(world.settings.database_url)
    assert migrate.check(world.settings.database_url).ok
    assert rows_found(world) == []
    rows = sum(world.sql(f"SELECT COUNT(*) FROM {kind}")[0][0] for kind in kinds())
    [(data, waits)] = world.sql("SELECT data, id IN (SELECT entry_id FROM audit_pending) FROM audit_entry WHERE action = 'rows.adopt'")
    told = json.loads(data) if isinstance(data, str) else data
    assert (told["count"], len(told["provinces"]), bool(waits)) == (rows, 38, True)
    [(number,)] = world.sql("SELECT hardware_number FROM unit WHERE organisation_id = (SELECT organisation_id FROM activation)")
    change_unit(world, number, sam_perso="0123456789ABCDEF")
    assert rows_found(world) == []
    past_the_triggers(world, "UPDATE activation SET address = 'lain'")
    assert len(rows_found(world)) == 1


def rows_found(world: World) -> list[str]:
    """What the invariants of rows that acts rest on find."""
    return [str(finding) for finding in examine(installation(world), ["row-recorded", "row-act", "region-recorded"]).findings]
