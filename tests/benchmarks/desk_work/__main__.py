"""Print how much work six jobs are at a desk: `python -m tests.benchmarks.desk_work [--again] [--journeys]`.

The counts of commit dab99ff are kept in `BEFORE`. `--again` makes them anew: in a checkout of that commit in a temporary folder, by its own
set-up, which takes minutes. Exits with 1 if a job takes more than `BAR` of what it took then.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.desk_work.counting import Count
from tests.benchmarks.desk_work.jobs import JOBS
from tests.benchmarks.desk_work.journeys import travelled
from tests.benchmarks.desk_work.work import Work, surroundings
from tests.support.servers import ROOT

COMMIT = "dab99ff"
BAR = 0.6
BEFORE = {
    "office_asks_and_activates_five": Count(46, 20, 34),
    "maker_sends_two_hundred_rows": Count(7, 13, 6),
    "institution_activates_fifty": Count(165, 9, 109),
    "approver_decides_ten": Count(50, 3, 40),
    "operator_personalises_and_hands_over": Count(7, 1, 6),
    "office_destroys_one_card": Count(9, 20, 8),
}


def counted_again() -> dict[str, Count]:
    """Count the jobs on the pages of `COMMIT`, in a checkout of its own."""
    with tempfile.TemporaryDirectory(prefix="sifilma-before-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--detach", str(tree), COMMIT], cwd=ROOT, check=True)
        try:
            subprocess.run(["make", "setup"], cwd=tree, check=True)
            shutil.copytree(Path(__file__).parent, tree / "tests" / "benchmarks" / "desk_work")
            command = [".venv/bin/python", "-m", "tests.benchmarks.desk_work.run_before"]
            said = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True).stdout
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return {line.pop("job"): Count(**line) for line in lines}


def counted() -> dict[str, Count]:
    """Count the jobs on the pages of this checkout."""
    found = {}
    for job in JOBS:
        count = Count()
        with surroundings() as (world, server, browser), tempfile.TemporaryDirectory() as folder:
            job(Work(world, server, browser, Path(folder), count))
        found[job.__name__] = count
    return found


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.desk_work", description=__doc__)
    parser.add_argument("--again", action="store_true", help=f"count commit {COMMIT} anew")
    parser.add_argument(
        "--journeys",
        action="store_true",
        help="then do the jobs, and what goes wrong every week, as journeys at both widths, each page judged",
    )
    chosen = parser.parse_args()
    before = counted_again() if chosen.again else BEFORE
    worst = 0.0
    print(f"| job | clicks, fields, pages at {COMMIT} | now | ratio |\n|---|---|---|---|")
    for name, now in counted().items():
        ratio = now.total / before[name].total
        worst = max(worst, ratio)
        shown = [f"{one.clicks} + {one.fields} + {one.pages} = {one.total}" for one in (before[name], now)]
        print(f"| {name.replace('_', ' ')} | {shown[0]} | {shown[1]} | {ratio:.0%} |")
    for line in travelled() if chosen.journeys else ():
        print(line)
    return 1 if worst > BAR else 0


if __name__ == "__main__":
    sys.exit(main())
