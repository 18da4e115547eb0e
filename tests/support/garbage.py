"""A plugin of pytest that collects garbage when it pays: what the interpreter does by itself took a sixth of the tests' time.

The process keeps some million objects for good (modules, compiled statements), which every full collection looks through. And each
application that a test leaves behind is a cycle, which only a full collection frees.
"""

from __future__ import annotations

import gc
from pathlib import Path

YOUNG = (50_000, 20, 1_000_000)
"""New objects after which the young are looked at, and how often that is done before the older are; all are only between two tests."""
ROOM = 200 << 20
"""Bytes by which a process may grow before all its garbage is collected."""
PAGE = 4096


class _Process:
    """This process: its bytes in memory when its garbage was last collected."""

    size = 0


gc.disable()  # while modules are imported: what they make stays


def pytest_collection_finish() -> None:
    """Exempt all there is from collection, and collect from now on."""
    _keep()
    gc.set_threshold(*YOUNG)
    gc.enable()


def pytest_runtest_logfinish() -> None:
    """Collect all garbage if the process has grown, and exempt the rest: it has lived through tests, so it is a cache."""
    if _resident() > _Process.size + ROOM:
        _keep()


def _keep() -> None:
    gc.collect()
    gc.freeze()
    _Process.size = _resident()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE
