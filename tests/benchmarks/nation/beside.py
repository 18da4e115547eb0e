"""A second nation, of another size, in a process of its own: its pages are opened in turns with those of the first.

A machine that others share is at times half as fast as a minute before. Two sizes that are measured one after the other are then
two machines; opened in turns, both have the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from tests.benchmarks.nation.opening import Found, Side


class Beside:
    """The same calls as `Side`, of the nation of another home and database."""

    def __init__(self, home: str, url: str) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.nation.measure", "--answer"]
        environment = os.environ | {"SIFILMA_HOME": home, "SIFILMA_DATABASE_URL": url}
        self._process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self, kind: str, page: str) -> int:
        """Choose the page that `once` opens, and return its status."""
        return int(self._ask("begin", kind, page))

    def once(self) -> None:
        """Open the page and note what it took."""
        self._ask("once")

    def found(self) -> Found:
        """Return what the page took."""
        return Found(**self._ask("found"))

    def file(self, kind: str, page: str) -> Found:
        """Fetch a list as a file, once."""
        return Found(**self._ask("file", kind, page))

    def close(self) -> None:
        """End the other process."""
        self._process.communicate()

    def _ask(self, *call: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(call), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"The process of the other nation ended at {call}.")
        return json.loads(answer)


def answer(side: Side) -> int:
    """Carry out the calls that come on standard input, until it ends; answer each in a line. Return 0.

    What else is printed goes to standard error.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, *given = json.loads(line)
        made = getattr(side, name)(*given)
        print(json.dumps(asdict(made) if isinstance(made, Found) else made), file=answers, flush=True)
    return 0
