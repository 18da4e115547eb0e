"""Workers are killed in the middle of a file (PostgreSQL): every row runs once, and the file is finished."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
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
from tests.fsck.conftest import installation
from tests.support.servers import ROOT, environment
from tests.support.world import World, done

KILLS, KILLS_OF_LONG_FORM, ROWS = 3, 6, 400
OFFICE = "magetan.kepala"


class Worker:
    """A real worker process, in a process group of its own."""

    def __init__(self, world: World) -> None:
        self._log = (world.settings.home / "worker.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sifilma", "worker"],
            env=os.environ | environment(world) | {"SIFILMA_BULK_AT_ONCE": "50"},  # so that workers are killed between many sets
            cwd=ROOT,
            start_new_session=True,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def kill(self) -> None:
        """Send SIGKILL to the process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()


@pytest.fixture
def present_world(postgresql_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation whose clock shows the real time, which the workers use."""
    with closing(World(postgresql_url, tmp_path / "home", signing_token, root_token, datetime.now(UTC))) as made:
        yield made


def progress(world: World, job: Any, beyond: int, seconds: float = 60) -> int:
    """Wait until more rows than `beyond`, or all, are done; return their number."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        (state, count) = world.sql("SELECT state, done FROM job WHERE id = :id", id=job["id"])[0]
        if count > beyond or state == "completed":
            return int(count)
        time.sleep(0.05)
    raise TimeoutError((world.settings.home / "worker.log").read_text()[-2000:])


def test_every_row_runs_exactly_once_although_workers_are_killed(present_world: World, long_form: bool) -> None:
    world, kills = present_world, KILLS_OF_LONG_FORM if long_form else KILLS
    ready = world.ready(OFFICE, "R", ROWS)
    rows = rows_of(ready)
    rows[7][HEADER.index("token")] = "salah"
    job = sent(world.client(OFFICE), sheet(rows))
    seen = [0]
    for _ in range(kills):
        worker = Worker(world)
        try:
            seen.append(progress(world, job, seen[-1]))
            time.sleep(random.uniform(0, 0.1))
        finally:
            worker.kill()
        world.sql("UPDATE job SET taken_until = NULL")  # ends the lease of the killed worker, so that the test need not wait for it
    worker = Worker(world)
    try:
        until = time.monotonic() + 120
        while world.sql("SELECT state FROM job")[0][0] != "completed" and time.monotonic() < until:
            seen.append(progress(world, job, seen[-1]))
    finally:
        worker.kill()
    assert seen == sorted(seen)
    assert len(set(seen)) > 3  # the number grew under several workers
    shown = done(world.client(OFFICE).get(f"/jobs/{job['id']}"))
    assert (shown["state"], shown["done"], shown["failed"]) == ("completed", ROWS, 1)
    for table in ("activation", "manifest"):
        assert world.sql(f"SELECT COUNT(*) FROM {table}")[0][0] == ROWS - 1
    tokens = sorted(world.sql("SELECT state, COUNT(*), SUM(tries) FROM token GROUP BY state"))
    assert tokens == [
        ("issued", 1, 1),
        ("redeemed", ROWS - 1, 0),
    ]
    assert world.sql("SELECT COUNT(*) FROM job_row r JOIN activation a ON a.id = r.result_id")[0][0] == ROWS - 1
    world.clock.set(datetime.now(UTC))  # the workers went by the real time
    assert [str(finding) for finding in examine(installation(world)).findings] == []
    print(f"{kills} kills, seen {seen}")
