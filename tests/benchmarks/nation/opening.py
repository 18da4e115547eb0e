"""Opens a page of a nation and counts what it costs: milliseconds of CPU here and in the database, blocks, plans."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from tests.benchmarks.nation.pages import people, words
from tests.benchmarks.nation.plans import blocks, dearer, executed, recording, scanned
from tests.support.world import World

PREPARED_AFTER = 5
"""Executions after which psycopg prepares a statement."""


@dataclass
class Found:
    """One page: milliseconds of CPU here and in the database, blocks, and what its statements do that grows with the tables.

    `dearer`: of a statement that has one plan for all values, the blocks that it reads, where a plan for its values would read far fewer.

    `size`: bytes of the answer. A page that shows more rows there is more work, which is not growth of the same work.

    Of a list as a file the milliseconds are those of 1,000 rows, of which it has `rows`.
    """

    page: str
    status: int
    cpu_ms: float = 0.0
    database_ms: float = 0.0
    wall_ms: float = 0.0
    statements: int = 0
    blocks: int = 0
    slow_ms: float = 0.0
    whole: list[str] = field(default_factory=list)
    slowest: str = ""
    dearer: list[str] = field(default_factory=list)
    rows: int = 0
    size: int = 0

    @property
    def all_ms(self) -> float:
        """CPU of both."""
        return self.cpu_ms + self.database_ms


class Side:
    """One nation whose pages are opened within this process."""

    def __init__(self, world: World) -> None:
        self._world, self._words, self._people = world, words(world), people(world)
        self._clients = {kind: world.client(username) for kind, username in self._people.items()}

    def begin(self, kind: str, page: str) -> int:
        """Choose the page that `once` opens, open it until its statements are prepared, and return its status."""
        path, client = page.format(**self._words), self._clients[kind]
        headers = client.headers | {"Accept": "application/json" if path.startswith("/api") else "text/html"}

        def opened() -> tuple[int, int]:
            answer = client.open("GET", path, headers=headers, buffered=True)
            return int(answer.status_code), len(answer.data)

        self._opened = opened
        status, size = opened()
        self._found = Found(f"{page} of {kind}", status, size=size)
        self._spent: list[tuple[float, float, float]] = []
        if self._found.status == 200:
            with recording(self._world) as self._seen:
                self._opened()
            for _ in range(PREPARED_AFTER - 1):
                self._opened()
            self._backends = connections(self._world)
            if len(os.sched_getaffinity(0)) == 1:
                on_one_core(*self._backends)
        return self._found.status

    def once(self) -> None:
        """Open the page and note what it took."""
        database = database_ms(self._backends)
        cpu, wall = time.process_time(), time.perf_counter()
        self._opened()
        spent, took = time.process_time() - cpu, time.perf_counter() - wall
        self._spent.append((spent * 1000, database_ms(self._backends) - database, took * 1000))

    def found(self) -> Found:
        """Return the medians of what was noted, with the plans of the page's statements."""
        found = self._found
        if self._spent:
            found.cpu_ms, found.database_ms, found.wall_ms = (statistics.median(column) for column in zip(*self._spent, strict=True))
        for statement, plan in executed(self._world, self._seen):
            found.statements += 1
            found.blocks += blocks(plan)
            if plan["Execution Time"] > found.slow_ms:
                found.slow_ms, found.slowest = plan["Execution Time"], " ".join(statement.split())[:400]
            found.whole += [name for name in scanned(plan["Plan"]) if name not in found.whole]
        found.dearer = [f"{of_all} blocks for {of_its} of {text[:80]}" for text, of_all, of_its in dearer(self._world, self._seen)]
        return found

    def file(self, kind: str, page: str) -> Found:
        """Fetch a list as a file, once, and return what 1,000 of its rows took."""
        client, self._backends = self._clients[kind], connections(self._world)
        database, cpu, wall = database_ms(self._backends), time.process_time(), time.perf_counter()
        answer = client.open("GET", page, headers=client.headers | {"Accept": "text/html"}, buffered=True)
        spent, took = time.process_time() - cpu, time.perf_counter() - wall
        found = Found(f"{page} of {kind}", int(answer.status_code))
        found.rows = max(answer.data.count(b"\n") - 1, 0) if found.status == 200 else 0
        if found.rows:
            all_ms = (spent * 1000, database_ms(self._backends) - database, took * 1000)
            found.cpu_ms, found.database_ms, found.wall_ms = (one * 1000 / found.rows for one in all_ms)
        return found


def on_one_core(*pids: int) -> None:
    """Let processes run on the last core alone: two cores of a machine that others share are at times two machines.

    Those of the database stay where they are for a user who may not move them.
    """
    core = max(os.sched_getaffinity(0))
    for pid in pids:
        with suppress(PermissionError, ProcessLookupError):
            os.sched_setaffinity(pid, {core})


def connections(world: World) -> list[int]:
    """Return the processes of the database that serve this one."""
    with world.context() as ctx:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        return list(ctx.session.scalars(text(query)))


def database_ms(pids: Sequence[int]) -> float:
    """Return the CPU of processes in milliseconds, to the nanosecond. One that ended meanwhile is left out."""
    spent = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            spent += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return spent / 1e6
