"""Runs all benchmarks, or those that are named, and prints a table of ratios: `python -m tests.benchmarks [bulk …]`.

Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hsm.keys import ROOT_PLAN, SIGNING_PLAN
from sifilma.kernel.unit_of_work import assert_no_transaction
from tests.benchmarks import activation, bulk, intake, log, many_cards, pages, sign_in, start, two_workers
from tests.benchmarks.table import Line, show
from tests.support import databases, softhsm
from tests.support.databases import FreshPostgres
from tests.support.world import World


@contextmanager
def installation() -> Iterator[World]:
    """Yield an installation on PostgreSQL with a SoftHSM of its own. fsync is off, so that the disk's speed is not measured."""
    store = softhsm.install()
    try:
        signing = store.token("sifilma", SIGNING_PLAN, assert_no_transaction)
        root = store.token("sifilma-root", ROOT_PLAN)
        with databases.migrated_cluster() as cluster, tempfile.TemporaryDirectory(prefix="sif-bench-") as home:
            fresh = FreshPostgres(cluster)
            world = World(fresh.make(), Path(home), signing, root, datetime.now(UTC))
            yield world
            world.close()
    finally:
        softhsm.uninstall(store)


PARTS = (start, two_workers, activation, sign_in, pages, bulk, intake, many_cards, log)
"""In this order: behind `sign_in` the clock is ahead, and workers, who have the real one, would do nothing; `log` puts another log in the
place of the one that was signed, and nobody signs it any more."""


def main(wanted: list[str]) -> int:
    """Run all benchmarks, or those that are named, and print the table; return the exit code."""
    lines: list[Line] = []
    with installation() as world:
        for part in PARTS:
            if not wanted or part.__name__.rpartition(".")[2] in wanted:
                lines += part.run(world)
    return show(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
