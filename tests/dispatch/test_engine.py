"""Several workers on several homes (PostgreSQL): they split the work, replace who dies or freezes, and do once what time brings."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from hsm import HSM
from sifilma.dispatch.engine import AT_ONCE
from sifilma.fsck.run import examine
from tests.activation.bulk.sheets import rows_of, sent, sheet
from tests.dispatch.workers import Worker, take_for_dead, until
from tests.fsck.conftest import installation
from tests.support.world import World

OFFICES = ("magetan.kepala", "bangli.kepala")
PART = 100  # cards of one request: the tokens of many more are made by the worker
WATCHED = (
    "CREATE TABLE planted_runs (chore text, moment bigint, worker bigint)",
    """CREATE FUNCTION planted_run() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.planted_runs VALUES (NEW.task_name, (NEW.args ->> 'timestamp')::bigint, NEW.worker_id); RETURN NULL; END $$""",
    """CREATE TRIGGER planted_run AFTER UPDATE OF status ON procrastinate.procrastinate_jobs
    FOR EACH ROW WHEN (NEW.status = 'doing') EXECUTE FUNCTION planted_run()""",
    """CREATE TRIGGER planted_entry AFTER INSERT ON procrastinate.procrastinate_jobs
    FOR EACH ROW WHEN (NEW.args ? 'timestamp') EXECUTE FUNCTION planted_run()""",
)


@pytest.fixture
def present_world(postgresql_url: str, tmp_path: Path, signing_token: HSM, root_token: HSM) -> Iterator[World]:
    """Yield an installation whose clock shows the real time, which the workers use."""
    with closing(World(postgresql_url, tmp_path / "home", signing_token, root_token, datetime.now(UTC))) as made:
        yield made


def begun(world: World, rows: int) -> list[Any]:
    """Upload a file of each office."""
    parts = [PART] * (rows // PART) + [rows % PART] * (rows % PART > 0)
    sheets: dict[str, list[list[Any]]] = {office: [] for office in OFFICES}
    for office, part in product(OFFICES, parts):
        world.clock.set(datetime.now(UTC))
        sheets[office] += rows_of(world.ready(office, "R", part))
    return [sent(world.client(office), sheet(lines)) for office, lines in sheets.items()]


def done(world: World) -> int:
    return int(world.sql("SELECT SUM(done) FROM job")[0][0])


def went_on(world: World, job_id: Any, before: int) -> bool:
    return bool(world.sql("SELECT 1 FROM job WHERE id = :id AND (done > :done OR state = 'completed')", id=job_id, done=before + 40))


def require_once(world: World, rows: int) -> None:
    """Each row has one result, each activation one row, and nothing is broken."""
    for table in ("activation", "manifest", "job_row"):
        assert world.sql(f"SELECT COUNT(*) FROM {table}")[0][0] == rows
    assert world.sql("SELECT COUNT(DISTINCT result_id) FROM job_row r JOIN activation a ON a.id = r.result_id")[0][0] == rows
    assert {tuple(row) for row in world.sql("SELECT state, failed FROM job")} == {("completed", 0)}
    world.clock.set(datetime.now(UTC))  # the workers went by the real time
    findings = [str(one) for one in examine(installation(world)).findings]
    assert [one for one in findings if "planted" not in one and "schema" not in one] == []


def test_two_workers_split_the_work_and_what_one_leaves_the_other_does(present_world: World, tmp_path: Path) -> None:
    world, rows = present_world, 120
    for statement in WATCHED:
        world.sql(statement)
    begun(world, rows)
    workers = [Worker(world, tmp_path / name, SIFILMA_WORKER_TURNS="1") for name in ("one", "two")]
    logs = lambda: "".join(worker.log.read_text() for worker in workers)  # noqa: E731
    try:
        until(lambda: len(world.sql("SELECT DISTINCT worker FROM planted_runs WHERE moment IS NULL")) > 1, 30, logs)
        workers[0].send(signal.SIGKILL)
        take_for_dead(world)
        until(lambda: done(world) == 2 * rows, 30, logs)
        until(lambda: world.sql("SELECT COUNT(*) FROM job WHERE state <> 'completed'")[0][0] == 0, 10, logs)
        entries = world.sql("SELECT chore, moment FROM planted_runs WHERE moment IS NOT NULL AND worker IS NULL")
        assert len(entries) == len({tuple(row) for row in entries}) > 10  # each moment once, whoever of the two was first
        runs = world.sql("SELECT chore, moment, COUNT(*) FROM planted_runs WHERE moment IS NOT NULL AND worker IS NOT NULL GROUP BY 1, 2")
        assert {count for *_, count in runs} <= {1, 2}  # a second time what the killed one had in hand
        assert sum(count == 2 for *_, count in runs) <= AT_ONCE
    finally:
        for worker in workers:
            worker.kill()
    require_once(world, 2 * rows)


@pytest.mark.long
def test_a_killed_and_a_frozen_worker_hold_nothing_up_for_thirty_seconds(present_world: World, tmp_path: Path) -> None:
    world, rows = present_world, 800
    begun(world, rows)
    workers = [Worker(world, tmp_path / name, SIFILMA_WORKER_TURNS="1") for name in ("one", "two", "three")]
    logs = lambda: "".join(worker.log.read_text() for worker in workers)  # noqa: E731
    try:
        until(lambda: done(world) > 10, 30, logs)
        for number, worker in ((signal.SIGKILL, workers[0]), (signal.SIGSTOP, workers[1])):
            jobs = world.sql("SELECT id, done FROM job")
            worker.send(number)
            began = time.monotonic()
            for job_id, before in jobs:
                until(partial(went_on, world, job_id, before), 30, logs)
            print(f"after {number.name}: every file went on within {time.monotonic() - began:.1f} s")
        until(lambda: world.sql("SELECT COUNT(*) FROM job WHERE state <> 'completed'")[0][0] == 0, 120, logs)
        workers[1].send(signal.SIGCONT)
        time.sleep(5)
    finally:
        for worker in workers:
            worker.kill()
    require_once(world, 2 * rows)
