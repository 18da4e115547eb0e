"""Workers are killed while they write files, and the database is lost: every row is in its file once, every act is recorded once."""

from __future__ import annotations

import io
import random
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hsm import HSM
from sifilma.fsck.run import examine
from sifilma.own_files import service
from tests.activation.bulk.sheets import rows_of, sent, sheet
from tests.dispatch.workers import Worker, take_for_dead, until
from tests.documents.files import table_lines
from tests.fsck.conftest import installation
from tests.own_files.files import asked, fetched
from tests.support.databases import Cluster
from tests.support.world import World, done

OFFICE = "magetan.kepala"
KILLS, UNITS, CARDS, PART = 50, 3000, 300, 100
AWAY = 20
"""Seconds for which the database is away."""


@pytest.fixture
def present_world(
    postgresql_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """Yield an installation whose clock shows the real time, which the workers use. Two manifests are many in it, any files few."""
    monkeypatch.setattr(service, "MOST_KEPT", 3 * KILLS)
    made = World(postgresql_url, tmp_path / "home", signing_token, root_token, datetime.now(UTC), direct_manifests=1)
    with closing(made) as world:
        yield world


def filled(world: World, units: int, cards: int) -> None:
    for _ in range(units // 1000):
        world.clock.set(datetime.now(UTC))
        world.units(OFFICE, 1000, "LEN-CRD-1", "R", pcid=False)
    for _ in range(cards // PART):
        world.clock.set(datetime.now(UTC))
        world.active(OFFICE, "R", PART)


def all_asked(world: World) -> list[Any]:
    """Ask for a list in both forms and for all manifests. What is being written already is not asked for anew."""
    world.clock.set(datetime.now(UTC))
    client = world.client(OFFICE)
    return [
        asked(client, "/unit", "csv"),
        asked(client, "/unit?urut=nomor", "xlsx"),
        done(client.post("/manifests/archive", {}), 202),
    ]


def going(world: World) -> int:
    return int(world.sql("SELECT COUNT(*) FROM own_file WHERE state IN ('queued', 'running')")[0][0])


def _went_on(world: World, before: int) -> bool:
    return bool(world.sql("SELECT SUM(served) FROM own_file")[0][0] > before)


def require_whole(world: World, files: dict[str, Any], units: int, cards: int) -> None:
    """Each file has each row once, each manifest is recorded once for each file, and nothing is broken."""
    world.clock.set(datetime.now(UTC))
    client = world.client(OFFICE)
    for file in files.values():
        data = fetched(client, file)
        assert data.status_code == 200, data.json
        if file["kind"] == "list":
            numbers = [next(iter(line.values())) for line in table_lines(data.get_data())]
            assert len(numbers) == len(set(numbers)) == units
        else:
            names = zipfile.ZipFile(io.BytesIO(data.get_data())).namelist()
            assert len(names) == len(set(names)) == cards + 2
            recorded = "SELECT COUNT(*), COUNT(DISTINCT object_id) FROM audit_entry WHERE action = 'manifest.download' AND request_id = :id"
            assert tuple(world.sql(recorded, id=file["id"])[0]) == (cards, cards)
    findings = [str(one) for one in examine(installation(world)).findings]
    assert [one for one in findings if "schema" not in one] == []


@pytest.mark.long
def test_every_row_is_in_its_file_once_although_workers_are_killed_fifty_times(present_world: World) -> None:
    world, files, amid, dice = present_world, dict[str, Any](), 0, random.Random(7)
    filled(world, UNITS, CARDS)
    units = int(world.sql("SELECT COUNT(*) FROM unit WHERE organisation_id = :id", id=str(world.organisation_of(OFFICE)))[0][0])
    for number in range(KILLS):
        files |= {file["id"]: file for file in all_asked(world)}
        worker = Worker(world)
        try:
            before = world.sql("SELECT SUM(served) FROM own_file")[0][0]
            until(partial(_went_on, world, before), 90, worker.log.read_text)
            time.sleep(dice.uniform(0, 1.5))
        finally:
            worker.kill()
        amid += going(world) > 0
        take_for_dead(world)
        print(f"kill {number + 1}: {len(files)} files, {going(world)} of them are being written", flush=True)
    worker = Worker(world)
    try:
        until(lambda: going(world) == 0, 120, worker.log.read_text)
    finally:
        worker.kill()
    print(f"{KILLS} kills, {amid} amid a file, {len(files)} files")
    assert amid > KILLS // 5
    require_whole(world, files, units, CARDS)


@pytest.mark.long
def test_a_database_that_is_lost_for_twenty_seconds_costs_no_row_and_doubles_none(present_world: World, pg_cluster: Cluster) -> None:
    world = present_world
    filled(world, UNITS, CARDS)
    world.clock.set(datetime.now(UTC))
    rows = rows_of(world.ready(OFFICE, "R", PART)) + rows_of(world.ready(OFFICE, "R", PART))
    units = int(world.sql("SELECT COUNT(*) FROM unit WHERE organisation_id = :id", id=str(world.organisation_of(OFFICE)))[0][0])
    job = sent(world.client(OFFICE), sheet(rows))
    worker = Worker(world)
    try:
        until(lambda: world.sql("SELECT done FROM job")[0][0] > 10, 90, worker.log.read_text)
        files = {file["id"]: file for file in all_asked(world)[:2]}
        pid = worker.pid
        world.sql("CHECKPOINT")  # this server writes commits late (CALM): a crash would lose what was asked for a moment ago
        pg_cluster.stop("immediate")
        time.sleep(AWAY)
        pg_cluster.start()
        began = time.monotonic()
        until(lambda: world.sql("SELECT state FROM job")[0][0] == "completed" and not going(world), 120, worker.log.read_text)
        print(f"after {AWAY} s without the database all was done within {time.monotonic() - began:.1f} s; same process: {worker.lives}")
        assert worker.lives and worker.pid == pid  # noqa: PT018  # it went on by itself
    finally:
        worker.kill()
    assert world.sql("SELECT done, failed FROM job WHERE id = :id", id=job["id"]) == [(len(rows), 0)]
    assert world.sql("SELECT COUNT(*), COUNT(DISTINCT result_id) FROM job_row")[0] == (len(rows), len(rows))
    moments = "SELECT task_name, defer_timestamp FROM procrastinate.procrastinate_periodic_defers"
    once = world.sql(moments)
    assert len(once) == len({tuple(row) for row in once}) > 0
    require_whole(world, files, units, CARDS)
