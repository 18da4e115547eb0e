"""What `make chaos` runs. From the environment: SEED (default: drawn), KILLS (300), MINUTES for the kills (10), ONLY (kills or steps).

Exit status 1 if anything was not as it must be, or the time was over before so many processes were killed.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hsm import HSM
from hsm.keys import ROOT_PLAN, SIGNING_PLAN
from sifilma.kernel.unit_of_work import assert_no_transaction
from tests.chaos.acts import ALL
from tests.chaos.chores import Delivery, Rows
from tests.chaos.kills import Outcome, Run
from tests.chaos.nth_failures import Loop
from tests.support import databases, softhsm
from tests.support.databases import Fresh, FreshPostgres, FreshSqlite
from tests.support.world import World

CLIENTS = 8
ROUND = 25
"""Kills between two comparisons."""

DEADLINE = 4.0
"""Seconds in which a request is answered. A key whose process was killed is free again a little later, and its client waits for that."""


class Supplies:
    """Tokens and databases for all parts."""

    def __init__(self, stack: ExitStack) -> None:
        store = softhsm.install()
        stack.callback(softhsm.uninstall, store)
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sif-chaos-", dir=databases.quick_folder())))
        self._signing: HSM = store.token("sifilma", SIGNING_PLAN, assert_no_transaction)
        self._root: HSM = store.token("sifilma-root", ROOT_PLAN)
        self._fresh: dict[str, Fresh] = {
            "SQLite": FreshSqlite(self._folder),
            "PostgreSQL": FreshPostgres(stack.enter_context(databases.migrated_cluster())),
        }

    @contextmanager
    def world(self, kind: str, start: datetime, **settings: Any) -> Iterator[World]:
        """Yield an installation on a new database."""
        home = Path(tempfile.mkdtemp(dir=self._folder)) / "home"
        with closing(World(self._fresh[kind].make(), home, self._signing, self._root, start, **settings)) as made:
            yield made


def kill(supplies: Supplies, seed: int, kills: int, minutes: float) -> list[str]:
    """Kill so many processes within so many minutes; return what was not as it must be."""
    until = time.monotonic() + 60 * minutes
    with supplies.world("PostgreSQL", datetime.now(UTC), request_deadline=DEADLINE) as world, closing(Run(world, seed, CLIENTS)) as run:
        while run.outcome.kills < kills and time.monotonic() < until and not run.outcome.faults:
            run.play(min(ROUND, kills - run.outcome.kills), until)
            say(run.outcome)
        for fault in run.outcome.faults:
            say(f"  {fault}")
        return [*run.outcome.faults, *_too_few(run.outcome, kills, minutes)]


def _too_few(outcome: Outcome, kills: int, minutes: float) -> list[str]:
    if outcome.faults or outcome.kills >= kills:
        return []
    return [f"{minutes:g} minutes were over after {outcome.kills} of {kills} kills"]


def fail_every_step(supplies: Supplies, kind: str) -> list[str]:
    """Fail every step of every act on one database; return what was not as it must be."""
    started, start = time.monotonic(), datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
    with supplies.world(kind, start) as world, closing(Loop(world)) as loop:
        for act in ALL:
            told = len(loop.faults)
            loop.run([act])
            for fault in loop.faults[told:]:
                say(f"  {fault}")
            say(f"{kind}: {act.name}, {loop.cases} steps failed so far, {len(loop.faults)} faults, {time.monotonic() - started:.0f} s")
        with closing(Delivery(world, loop.seams)) as delivery:
            loop.run_chores([delivery, Rows(world)])
    say(f"{kind}: {loop.cases} steps failed, {len(loop.faults)} faults, {time.monotonic() - started:.0f} s")
    return loop.faults


def say(what: object) -> None:
    """Print a line at once."""
    print(what, flush=True)


def main() -> int:
    """Run the parts that are asked for."""
    argparse.ArgumentParser(prog="make chaos", usage="SEED= KILLS= MINUTES= ONLY= make chaos", description=__doc__).parse_args()
    wanted = os.environ
    seed = int(wanted.get("SEED") or secrets.randbelow(10**6))
    kills, minutes, only = int(wanted.get("KILLS") or 300), float(wanted.get("MINUTES") or 10), wanted.get("ONLY", "")
    faults: list[str] = []
    with ExitStack() as stack:
        supplies = Supplies(stack)
        if only in ("", "kills"):
            say(f"{kills} kills amid {CLIENTS} clients, SEED={seed}")
            faults += kill(supplies, seed, kills, minutes)
        if only in ("", "steps"):
            for kind in ("SQLite", "PostgreSQL"):
                faults += [f"{kind}: {fault}" for fault in fail_every_step(supplies, kind)]
    for fault in faults:
        say(fault)
    say(f"{len(faults)} faults, SEED={seed}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
