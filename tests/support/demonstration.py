"""A demonstration as a newcomer has it: made and served by `sifilma up`, worker included."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs import ROOT
from tests.support.servers import free_port


@dataclass(frozen=True)
class Demonstration:
    """A demonstration that answers: where its state lies, and its address."""

    home: Path
    url: str


def environment(home: Path) -> dict[str, str]:
    """Nothing is set but where the state goes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIFILMA_", "SOFTHSM2_"))}
    return kept | {"SIFILMA_ENV": "demo", "SIFILMA_HOME": str(home)}


@contextmanager
def served(home: Path) -> Iterator[Demonstration]:
    """A demonstration of its own, ended afterwards."""
    port = free_port()
    command = [sys.executable, "-m", "sifilma", "up", "--port", str(port)]
    with home.with_name("log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(home), stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            _wait(f"http://127.0.0.1:{port}/readyz", process, home)
            yield Demonstration(home, f"http://127.0.0.1:{port}")
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask everything it started to end; `subprocess.TimeoutExpired` if that takes 20 seconds, and nothing is left running then either."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def _wait(url: str, process: subprocess.Popen[bytes], home: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(home.with_name("log").read_text()[-2000:])
