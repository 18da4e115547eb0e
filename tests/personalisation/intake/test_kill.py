"""Workers are killed in the middle of an intake (PostgreSQL): every row is stored once, and the batch is whole."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hsm import HSM
from sifilma.documents.tables.writing import write_csv
from sifilma.fsck.run import examine
from tests.benchmarks.intake import MAKER, batch, sent
from tests.dispatch.workers import Managed, take_for_dead
from tests.fsck.conftest import installation
from tests.personalisation.intake.test_job import COLUMNS
from tests.support.world import World, done

KILLS, ROWS = 2, 400
KILLS_OF_LONG_FORM, ROWS_OF_LONG_FORM = 50, 100_000


@pytest.fixture
def present_world(postgresql_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM, long_form: bool) -> Iterator[World]:
    """Yield an installation whose clock shows the real time, which the workers use."""
    at_once = 500 if long_form else 20
    with closing(World(postgresql_url, tmp_path / "home", signing_token, root_token, datetime.now(UTC), rows_at_once=at_once)) as made:
        yield made


def test_every_row_is_stored_exactly_once_although_workers_are_killed(present_world: World, long_form: bool) -> None:
    world, (kills, count) = present_world, (KILLS_OF_LONG_FORM, ROWS_OF_LONG_FORM) if long_form else (KILLS, ROWS)
    rows = batch(world, count)
    world.clock.set(datetime.now(UTC))
    made = sent(world, "csv", write_csv((*COLUMNS, "sam_perso"), rows))
    job, seen = {"id": made["batch_job"]}, [0]
    for number in range(kills):
        worker = Managed(world)
        try:
            # Behind the rows that are tried one by one after a kill, and before those that the other kills need.
            seen.append(worker.progress(job, min(seen[-1] + random.randrange(count // kills), count * (number + 1) // (kills + 1))))
            time.sleep(random.uniform(0, 0.1))
        finally:
            worker.kill()
        take_for_dead(world)
    worker = Managed(world)
    try:
        until = time.monotonic() + (600 if long_form else 120)
        while world.sql("SELECT state FROM job")[0][0] != "completed" and time.monotonic() < until:
            time.sleep(0.1)
    finally:
        worker.kill()
    print(f"{kills} kills, seen {seen}")
    assert seen == sorted(seen)
    assert len(set(seen)) > 2  # the number grew under several workers
    world.clock.set(datetime.now(UTC))
    shown = done(world.client(MAKER).get(f"/jobs/{job['id']}"))
    assert (shown["state"], shown["done"], shown["failed"]) == ("completed", count, 0)
    stored = world.sql("SELECT u.hardware_number, b.pcid, b.sam_uid FROM batch_row b JOIN unit u ON u.id = b.unit_id ORDER BY b.row_no")
    assert [tuple(row) for row in stored] == [(row[0], row[2], row[3]) for row in rows]
    done(world.client(MAKER).post(f"/personalisation-requests/{made['id']}/submit"))
    assert [str(finding) for finding in examine(installation(world)).findings] == []
