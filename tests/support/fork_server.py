"""Starts servers for tests by forking from one process that has imported everything: imports take most of a server's start.

Protocol: a line of JSON on standard input, `{"environment": {…}, "log": path, "command": name}`, is answered by a line with the new
process's id. The command is one of `sifilma`: `serve` or `up`. Each process leads a group of its own, which the requester ends. This
process ends when its input ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sifilma.app import blueprints, factory
from sifilma.commands import main as commands
from sifilma.commands import serve
from sifilma.regions import villages
from tests.support import compiled_once

READY = (commands, serve, factory, blueprints, villages)
"""Modules that are imported here so that the forked servers need not import them."""


def start_servers() -> None:
    """Start servers until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended servers are reaped by the kernel: nobody waits for them here
    compiled_once.templates()
    for line in sys.stdin:
        print(_fork(json.loads(line)), flush=True)


def _fork(wanted: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with Path(wanted["log"]).open("ab") as log, Path(os.devnull).open("rb") as nothing:
            for stream, target in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(stream.fileno(), target)
        os.environ.update(wanted["environment"])
        sys.argv = ["sifilma", wanted["command"]]
        commands.main()
    finally:
        os._exit(1)


if __name__ == "__main__":
    start_servers()
