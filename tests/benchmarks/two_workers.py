"""Two worker processes on files of two organisations, beside one process on one file: how much more do two get done?

In terms of CPU, since a machine with other work says nothing by its clock: what a card costs each, and how often one waits for a lock.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.activation.bulk.sheets import rows_of, sent, sheet
from tests.benchmarks.bulk import _all_backends
from tests.benchmarks.table import Line
from tests.dispatch.workers import Worker
from tests.support.world import BANGLI_PLACE, World

CARDS, OF_REQUEST = 1_500, 500
TWICE = 1.9
OFFICES: dict[str, dict[str, Any]] = {"magetan.kepala": {}, "bangli.kepala": dict(BANGLI_PLACE)}
TICK = os.sysconf("SC_CLK_TCK")


def run(world: World) -> list[Line]:
    """Measure one file by one process, then two files by two."""
    first = next(iter(OFFICES))
    _measured(world, [first], 1)  # plans and caches
    one, _ = _measured(world, [first], 1)
    two, waited = _measured(world, list(OFFICES), 2)
    return [
        Line("activation by file, one process: CPU of a card", one * 1e6, "µs"),
        Line("activation by file, two processes: CPU of a card", two * 1e6, "µs"),
        Line("two processes : one, in CPU", 2 * one / two, "×", TWICE, at_least=True),
        Line("looks at which a connection waited for a lock", 100 * waited, "%", 5.0),
    ]


def _measured(world: World, offices: list[str], processes: int) -> tuple[float, float]:
    """Return the seconds of CPU of a card, and the share of looks at which a connection waited for a lock."""
    files = {}
    for office in offices:
        rows: list[list[Any]] = []
        for _ in range(CARDS // OF_REQUEST):
            rows += rows_of(world.ready(office, "R", OF_REQUEST), **OFFICES[office])
        files[office] = sheet(rows)
    with world.context() as ctx:
        ctx.session.execute(text("ANALYZE"))
    homes = [world.settings.home, world.settings.home.parent / f"{world.settings.home.name}-2"]
    workers = [Worker(world, home, SIFILMA_BULK_AT_ONCE="500") for home in homes[:processes]]
    try:
        time.sleep(10)  # until they have begun, and found nothing to do
        before = _ran(world, workers)
        jobs = [sent(world.client(office), data)["id"] for office, data in files.items()]
        looked = _looks(world, jobs, workers)
        took = _ran(world, workers) - before
    finally:
        for worker in workers:
            worker.kill()
    assert world.sql("SELECT COUNT(*) FROM job WHERE failed > 0") == [(0,)]
    return took / (CARDS * len(offices)), looked


def _looks(world: World, jobs: list[str], workers: list[Worker]) -> float:
    """Wait until the jobs are done, looking at the locks. Return the share of looks at which somebody waited for one."""
    looks = waits = 0
    waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    until = time.monotonic() + 600
    while (states := {world.sql("SELECT state FROM job WHERE id = :id", id=job)[0][0] for job in jobs}) != {"completed"}:
        assert "stopped" not in states and time.monotonic() < until, [states, *(worker.log.read_text() for worker in workers)]  # noqa: PT018
        looks += 1
        waits += bool(world.sql(waiting)[0][0])
        time.sleep(0.02)
    return waits / max(1, looks)


def _ran(world: World, workers: list[Worker]) -> float:
    """Return the seconds of CPU of the workers, of their connections and of the one that looks."""
    with world.context() as ctx:
        found = _all_backends(ctx.session)
    groups = {worker.pid for worker in workers}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            if os.getpgid(int(stat.parent.name)) in groups:
                fields = stat.read_text().rpartition(")")[2].split()
                found += (int(fields[11]) + int(fields[12])) / TICK
    return found
