"""Workers are killed in the middle of a file (PostgreSQL): every row runs once, and the file is finished."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hsm import HSM
from sifilma.fsck.run import examine
from tests.activation.bulk.sheets import HEADER, rows_of, sent, sheet
from tests.dispatch.workers import Managed, take_for_dead
from tests.fsck.conftest import installation
from tests.support.world import World, done

KILLS, ROWS = 3, 400
KILLS_OF_LONG_FORM, ROWS_OF_LONG_FORM = 50, 10_706
PART = 100
"""Cards of one request: the tokens of many more are made by the worker."""
OFFICE = "magetan.kepala"


@pytest.fixture
def present_world(postgresql_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation whose clock shows the real time, which the workers use."""
    with closing(World(postgresql_url, tmp_path / "home", signing_token, root_token, datetime.now(UTC), bulk_at_once=50)) as made:
        yield made


def test_every_row_runs_exactly_once_although_workers_are_killed(present_world: World, long_form: bool) -> None:
    world, (kills, count) = present_world, (KILLS_OF_LONG_FORM, ROWS_OF_LONG_FORM) if long_form else (KILLS, ROWS)
    rows: list[list[Any]] = []
    for start in range(0, count, PART):
        world.clock.set(datetime.now(UTC))
        rows += rows_of(world.ready(OFFICE, "R", min(PART, count - start)))
    rows[7][HEADER.index("token")] = "salah"
    job = sent(world.client(OFFICE), sheet(rows))
    seen = [0]
    for _ in range(kills):
        worker = Managed(world)
        try:
            seen.append(worker.progress(job, seen[-1]))
            time.sleep(random.uniform(0, 0.1))
        finally:
            worker.kill()
        take_for_dead(world)
    worker = Managed(world)
    try:
        until = time.monotonic() + (1200 if long_form else 120)
        while world.sql("SELECT state FROM job")[0][0] != "completed" and time.monotonic() < until:
            seen.append(worker.progress(job, seen[-1]))
    finally:
        worker.kill()
    assert seen == sorted(seen)
    assert len(set(seen)) > 3  # the number grew under several workers
    shown = done(world.client(OFFICE).get(f"/jobs/{job['id']}"))
    assert (shown["state"], shown["done"], shown["failed"]) == ("completed", count, 1)
    for table in ("activation", "manifest"):
        assert world.sql(f"SELECT COUNT(*) FROM {table}")[0][0] == count - 1
    tokens = sorted(world.sql("SELECT state, COUNT(*), SUM(tries) FROM token GROUP BY state"))
    assert tokens == [
        ("issued", 1, 1),
        ("redeemed", count - 1, 0),
    ]
    assert world.sql("SELECT COUNT(*) FROM job_row r JOIN activation a ON a.id = r.result_id")[0][0] == count - 1
    world.clock.set(datetime.now(UTC))  # the workers went by the real time
    assert [str(finding) for finding in examine(installation(world)).findings] == []
    print(f"{kills} kills, seen {seen}")
