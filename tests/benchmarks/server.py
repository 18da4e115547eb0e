"""Runs a server under measurement (tests/benchmarks/serving.py) and reads its CPU time from /proc."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(target: str, environment: dict[str, str], probe: str = "/livez") -> Iterator[tuple[int, int]]:
    """Start a server of `module:app`, yield its port and process id, and end it afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.serving", target, str(port)]
    process = subprocess.Popen(command, env=os.environ | environment, cwd=ROOT, start_new_session=True)
    try:
        _wait(port, probe)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=15)


def _wait(port: int, probe: str) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", probe)
            connection.getresponse().read()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the server did not start")


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process and its living children, in seconds."""
    pids, seen = [pid], 0.0
    while pids:
        current = pids.pop()
        fields = Path(f"/proc/{current}/stat").read_text().rpartition(")")[2].split()
        seen += (int(fields[11]) + int(fields[12])) / TICK
        children = Path(f"/proc/{current}/task/{current}/children").read_text().split()
        pids += [int(child) for child in children]
    return seen
