"""Measure every page, list, search and API read at the size that is there: `python -m tests.benchmarks.nation.measure`.

Of each it prints the CPU of this process and of the database, the blocks that its statements touch, and which large table one of them
reads from end to end. With a second nation `--beside` the pages of both are opened in turns on one core, and the ratios are printed.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from sifilma.commands.practice import settings_with_secrets
from tests.benchmarks.machine import slowness
from tests.benchmarks.nation.beside import Beside, answer
from tests.benchmarks.nation.installation import installed
from tests.benchmarks.nation.opening import Found, Side, connections, database_ms, on_one_core
from tests.benchmarks.nation.pages import EXPORTS, pages, people
from tests.support.world import MAGETAN_PLACE, World, done

ROUNDS = 4
"""Rounds of activations. The first makes the month's data key, and PostgreSQL's plans."""
FLAT, MOST_MS = 1.3, 15.0
"""The bars of a page: its cost to that of the smaller nation, and CPU as on the reference machine."""
AS_LONG = 1.1
"""How much longer an answer may be to count as one that shows as much as that of the smaller nation."""


def main() -> int:
    """Measure; return the exit code."""
    chosen = _arguments()
    if not chosen.beside:
        return _measure(chosen, None)
    on_one_core(os.getpid())  # the other process inherits it
    with closing(Beside(*chosen.beside)) as smaller:  # before this process takes the secrets of its own home into the environment
        return _measure(chosen, smaller)


def _measure(chosen: argparse.Namespace, smaller: Beside | None) -> int:
    world = installed(settings_with_secrets(), datetime.now(UTC), new=False)
    world.configure(rate_per_minute_address=0, rate_per_minute_actor=0)
    if chosen.activations:
        return activations(world, chosen.activations)
    side = Side(world)
    gc.collect()
    gc.freeze()  # as a server does
    if chosen.answer:
        return answer(side)
    wanted = [(kind, page) for kind in people(world) for page in pages(world) if re.search(chosen.only, f"{page} of {kind}")]
    found = list(_measured([side, smaller] if smaller else [side], wanted, chosen.times))
    if smaller:
        compare(found, slowness())
    if chosen.keep:
        chosen.keep.write_text(json.dumps([[asdict(one) for one in sides] for sides in found], indent=1))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.nation.measure", description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--only", default="", help="only pages that match this pattern, of these people")
    parser.add_argument("--keep", type=Path, help="write all figures into this file (JSON)")
    parser.add_argument("--beside", nargs=2, metavar=("HOME", "URL"), help="a smaller nation, whose pages are opened in turns with these")
    parser.add_argument("--activations", type=int, default=0, help="measure so many activations instead, in ROUNDS rounds; it writes")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _measured(sides: Sequence[Side | Beside], wanted: Sequence[tuple[str, str]], times: int) -> Iterator[list[Found]]:
    """Open pages in turns at all sides; yield and print what is found of each that all have."""
    for kind, page in wanted:
        if page in EXPORTS:
            found = [side.file(kind, page) for side in sides]
        elif [side.begin(kind, page) for side in sides] != [200] * len(sides):
            continue
        else:
            for turn in range(times):
                for side in sides if turn % 2 else reversed(sides):  # each is as often the one that was just at work
                    side.once()
            found = [side.found() for side in sides]
        if any(one.status != 200 for one in found):
            continue
        _tell(found)
        yield found


def _tell(found: Sequence[Found]) -> None:
    first = found[0]
    rows = f"(1,000 of {first.rows:,} rows) " if first.rows else ""
    beside = " ".join(f"{one.cpu_ms:6.1f} {one.database_ms:6.1f} {one.blocks:7}" for one in found[1:])
    print(
        f"{first.cpu_ms:6.1f} {first.database_ms:6.1f} {first.blocks:7} {beside} {first.wall_ms:7.1f} {first.slow_ms:6.1f}"
        f" {first.page}  {rows}{' '.join(first.whole)}",
        *(f"\n    one plan: {one}" for one in first.dearer),
        flush=True,
    )


def activations(world: World, count: int) -> int:
    """Activate cards of an office over HTTP within this process, and print what each took: CPU here and in the database. Return 0."""
    ready = world.ready("magetan.kepala", "R", count * ROUNDS)
    client = world.client("magetan.kepala")
    for number in range(ROUNDS):
        pids = connections(world)
        bodies = [world.activation(ready, uid, **MAGETAN_PLACE) for uid in ready.uids[number * count : (number + 1) * count]]
        database, cpu, wall = database_ms(pids), time.process_time(), time.perf_counter()
        for body in bodies:
            done(client.post("/activations", body), 201)
        spent, took = time.process_time() - cpu, time.perf_counter() - wall
        each = (f"{ms / count:.2f}" for ms in (spent * 1000, database_ms(pids) - database, took * 1000))
        print("activation, ms: Python {}, database {}, wall {}".format(*each), flush=True)
    return 0


def compare(measured: Sequence[list[Found]], slow: float) -> None:
    """Print what pages cost at both sizes, those first that cost most, and how many of them keep the bars.

    `slow`: how much slower this machine is than the one on which the bars were set.
    """
    print("\npage | CPU, smaller | CPU, larger | ratio | blocks, smaller | blocks, larger")
    both = [(large, small) for large, small in measured if small.all_ms]  # a list without rows took nothing
    for large, small in sorted(both, key=lambda pair: -pair[0].all_ms):
        ratio = large.all_ms / small.all_ms
        print(f"{large.page} | {small.all_ms:.1f} ms | {large.all_ms:.1f} ms | {ratio:.2f} | {small.blocks} | {large.blocks}")
    opened = [(large.all_ms, large.all_ms / small.all_ms) for large, small in both if not large.rows]
    flat, median = sum(ratio <= FLAT for _, ratio in opened), statistics.median(ratio for _, ratio in opened)
    cheap = [sum(ms <= MOST_MS * part for ms, _ in opened) for part in (1, slow)]
    alike = [large.all_ms <= FLAT * small.all_ms for large, small in both if not large.rows and large.size <= AS_LONG * small.size]
    print(f"{len(opened)} pages: {flat} cost at most {FLAT} times as much as those of the smaller nation (median {median:.2f});")
    print(f"{len(alike)} of them show as much as there (answers within a tenth), of which {sum(alike)} cost at most {FLAT} times as much;")
    print(f"{cheap[0]} take {MOST_MS:.0f} ms of CPU, {cheap[1]} as on the reference machine (this one is {slow:.2f} times as slow)")


if __name__ == "__main__":
    sys.exit(main())
