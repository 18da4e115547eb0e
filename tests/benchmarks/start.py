"""How long after its start a server shows its first page: a Python of its own, every module read anew, keys and tables asked."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.request

from tests.benchmarks import machine
from tests.benchmarks.table import Line
from tests.support.servers import ROOT, environment, free_port
from tests.support.world import World

TIMES = 3
PATIENCE = 60.0  # seconds


def run(world: World) -> list[Line]:
    """Measure the shortest of some starts."""
    slow, took = machine.slowness(), [_start(world) for _ in range(TIMES)]
    wall = min(wall for wall, _ in took)
    return [
        Line("start of a server to its first page", wall, "s", against="by the clock, with one server process"),
        Line("the same, as on the reference machine", wall / slow, "s", 2.0),
        Line("the same, CPU of all its processes", min(used for _, used in took), "s"),
    ]


def _start(world: World) -> tuple[float, float]:
    """Return the seconds to the first page by the clock, and the CPU of the processes until they had ended."""
    port, before = free_port(), _used()
    settings = os.environ | environment(world) | {"SIFILMA_PORT": str(port), "SIFILMA_WORKERS": "1"}
    with (world.settings.home / "start.log").open("w") as log:
        began = time.monotonic()
        server = subprocess.Popen([sys.executable, "-m", "sifilma", "serve"], cwd=ROOT, env=settings, stdout=log, stderr=log)
        try:
            while not _answers(f"http://127.0.0.1:{port}/masuk"):
                assert server.poll() is None and time.monotonic() - began < PATIENCE, log.name  # noqa: PT018
                time.sleep(0.01)
            wall = time.monotonic() - began
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE)
    return wall, _used() - before


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=PATIENCE) as page:
        return bool(page.status == 200)
    return False


def _used() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime
