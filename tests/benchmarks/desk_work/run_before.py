"""Count the jobs on the pages of commit dab99ff, in a checkout of it (`__main__` runs this). Prints a JSON object a line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.benchmarks.desk_work.counting import Count
from tests.benchmarks.desk_work.jobs_before import JOBS
from tests.benchmarks.desk_work.work import Work, surroundings


def main() -> None:
    """Do each job and print its count."""
    for job in JOBS:
        count = Count()
        with surroundings() as (world, server, browser), tempfile.TemporaryDirectory() as folder:
            job(Work(world, server, browser, Path(folder), count))
        print(json.dumps({"job": job.__name__} | vars(count)), flush=True)


if __name__ == "__main__":
    main()
