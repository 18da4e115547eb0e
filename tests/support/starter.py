"""Starts servers for tests by forking: what a server imports takes most of its start, and is imported here once.

A line of JSON on standard input, `{"environment": {…}, "log": path}`, is answered by the new process's number. Each server leads a
process group of its own; whoever asked for it ends it. This process ends with its input.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sifilma.app import blueprints, factory
from sifilma.commands import main, serve
from sifilma.regions import villages
from tests.support import templates

READY = (main, factory, blueprints, villages)
"""Imported for the servers, used by none of this."""


def start_servers() -> None:
    """Start servers until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are not waited for
    templates.compile_once()
    for line in sys.stdin:
        print(_fork(json.loads(line)), flush=True)


def _fork(wanted: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with Path(wanted["log"]).open("wb") as log, Path(os.devnull).open("rb") as nothing:
            for stream, target in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(stream.fileno(), target)
        os.environ.update(wanted["environment"])
        serve.serve()
    finally:
        os._exit(1)


if __name__ == "__main__":
    start_servers()
