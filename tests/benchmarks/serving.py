"""Serve one WSGI application as `sifilma serve` does: the same front door, one process, four threads.

python -m tests.benchmarks.serving MODULE:NAME PORT
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module

from sifilma.app.asgi import Front
from sifilma.commands.supervisor import Supervisor, listen


def main(target: str, port: str) -> None:
    """Serve until SIGTERM."""
    module, _, name = target.partition(":")
    front = Front(getattr(import_module(module), name), threads=4, seconds=10, largest=22 * 1024 * 1024)
    gc.collect()
    gc.freeze()
    Supervisor(front, listen("127.0.0.1", int(port)), count=1, drain=5, still=15, head=10).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
