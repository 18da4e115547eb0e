"""Rows that acts rest on: what writes them without an act is refused, and what got past is found by the worker's rounds."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from sifilma.audit import recorded, rounds
from sifilma.audit.models import Action
from sifilma.audit.recorded import NotRecorded
from sifilma.audit.service import record
from sifilma.cards.models import Unit
from tests.audit.row_changes import change_unit, past_the_triggers
from tests.support.visitor import english
from tests.support.world import World

KEY = '{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI"}'
CHANGES = {
    "unit": f"public_jwk='{KEY}'",
    "organisation": "region_code='51.06'",
    "person": "name='Orang Lain'",
    "device_model": "function='R'",
    "agreement": "valid_until='2039-12-31'",
    "card": "key_version=7",
    "personalisation_result": "kcv='000000'",
    "activation": "address='Tempat lain'",
}
INSERT = (
    "INSERT INTO device_model (id, name, manufacturer_id, function, created_at)"
    " SELECT :id, 'TANAM-1', manufacturer_id, function, created_at FROM device_model LIMIT 1"
)


def test_plain_sql_neither_makes_nor_changes_a_row_that_acts_rest_on(world: World) -> None:
    world.active()
    refused = [f"UPDATE {table} SET {change}" for table, change in CHANGES.items()]
    refused += [f"UPDATE {table} SET {change}, version=version+1" for table, change in CHANGES.items() if _has_version(table)]
    refused += [
        "UPDATE unit SET version=version+1",
        "UPDATE row_digest SET version=2",
        "DELETE FROM row_digest",
        "DELETE FROM organisation",
    ]
    refused += ["INSERT INTO row_digest SELECT kind, object_id, 3, digest, act_id FROM row_digest"]
    for statement in refused:
        with pytest.raises(DBAPIError):
            world.sql(statement)
    with pytest.raises(DBAPIError):
        world.sql(INSERT, id="0" * 31 + "1")


def _has_version(table: str) -> bool:
    return issubclass(recorded.kinds()[table], recorded.Recorded)


def test_a_service_that_forgets_the_act_is_told_at_once(sqlite_world: World) -> None:
    [number] = sqlite_world.units("magetan.kepala", 1)
    with sqlite_world.context() as ctx:
        unit = ctx.session.scalars(select(Unit)).one()
        unit.sam_perso = "LAIN"
        with pytest.raises(NotRecorded):
            ctx.session.flush()
        ctx.uow.rollback()
    with sqlite_world.context() as ctx:
        unit = ctx.session.scalars(select(Unit)).one()
        record(ctx, Action.UNIT_CHANGE, "unit", unit.id, rows=[unit])
        unit.sam_perso = "LAIN"  # after its digest was made
        with pytest.raises(NotRecorded):
            ctx.session.flush()
        ctx.uow.rollback()
    change_unit(sqlite_world, number, sam_perso="LAIN")
    assert sqlite_world.sql("SELECT sam_perso, version FROM unit") == [("LAIN", 2)]
    assert compared(sqlite_world) == 0


def test_the_worker_names_each_row_that_was_changed_past_the_service(world: World) -> None:
    world.active()
    world.institution_ready()
    assert compared(world) == 0
    with world.context() as ctx:
        assert rounds.state(ctx.session).compared_at == world.clock.now()
    [(unit, pcid)] = world.sql("SELECT id, pcid FROM unit WHERE version = 2")
    planted = [f"UPDATE {table} SET {change} WHERE id = (SELECT id FROM {table} ORDER BY id LIMIT 1)" for table, change in CHANGES.items()]
    past_the_triggers(world, *planted, "UPDATE region SET name = 'LAIN' WHERE code = '35.20'")
    past_the_triggers(world, "UPDATE unit SET pcid = NULL, version = 1 WHERE version = 2")
    world.clock.advance(minutes=61)
    assert compared(world) == len(CHANGES) + 2
    found = world.sql("SELECT kind, object_id, fault FROM row_finding WHERE ended_at IS NULL")
    assert {kind for kind, _, _ in found} == {*CHANGES, "region"}
    assert ("unit", str(UUID(str(unit))), "old") in [tuple(row) for row in found]
    assert world.sql("SELECT COUNT(*) FROM audit_entry WHERE action = 'row.differs'") == [(len(found),)]
    world.clock.advance(minutes=61)
    assert compared(world) == 0  # known already
    past_the_triggers(world, "UPDATE unit SET pcid = :pcid, version = 2 WHERE id = :unit", pcid=pcid, unit=unit)
    world.clock.advance(minutes=61)
    assert compared(world) == 0
    assert world.sql("SELECT object_id FROM audit_entry WHERE action = 'row.fits'") == [(str(UUID(str(unit))),)]
    with world.context() as ctx:
        assert rounds.state(ctx.session).findings == len(found) - 1
    assert f"sifilma_row_findings {len(found) - 1}.0" in world.anonymous().open("GET", "/metrics").get_data(as_text=True)
    told = f"{len(found) - 1} rows of the database are not what the audit trail says"
    assert told in english(world, "operator1").text("/")
    assert "Which they are" in english(world, "auditor1").text("/")
    assert told not in english(world, "magetan.kepala").text("/")


def test_a_turn_compares_one_part_and_the_next_goes_on(sqlite_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite_world.units("magetan.kepala", 5)
    monkeypatch.setattr(rounds, "AT_ONCE", 2)
    after = []
    for _ in range(400):
        rounds.compare(sqlite_world.context, seconds=0)
        after += sqlite_world.sql("SELECT after FROM row_round WHERE walk = 'unit'")
        with sqlite_world.context() as ctx:
            if rounds.state(ctx.session).compared_at:
                break
    assert len({key for (key,) in after}) == 3  # two parts of two units each, and the last of one, after which the walk begins anew


def compared(world: World) -> int:
    """Run the worker's comparison to its end; return the number of new findings."""
    return rounds.compare(world.context, seconds=60)
