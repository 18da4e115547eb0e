"""The dispatcher of SQLite: one process that does one thing after the other. Whoever holds the lock of the home works."""

from __future__ import annotations

import faulthandler
import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from sifilma.dispatch.contract import Chores

STUCK_SECONDS = 120
"""A chore that takes longer hangs, unless it says more itself: the process ends, and is started again. It may be the only one, and parts of
rounds are long.
"""
PAUSE = 1.0
log = structlog.get_logger()


class InProcess:
    """Runs each chore when its time has come; what is asked for each second, within a second."""

    def __init__(self, chores: Chores, run: Callable[[str], int | None], home: Path, say: Callable[[dict[str, int]], None]) -> None:
        self._chores, self._run, self._say = chores, run, say
        self._lock = home / "worker.lock"
        self._next = dict.fromkeys(chores, 0.0)

    def keep_working(self) -> None:
        """Work until the process ends. Wait while another process of this home does."""
        with _held(self._lock):
            while True:
                began = time.monotonic()
                worked = self._round(began)
                if not worked:
                    time.sleep(PAUSE)

    def _round(self, now: float) -> bool:
        """Run what is due. Return whether there was something to do of what can go on at once."""
        counts: dict[str, int] = {}
        for name, chore in self._chores.items():
            at_once = chore.due is not None or chore.turn is not None
            if at_once or now >= self._next[name]:
                faulthandler.dump_traceback_later(max(STUCK_SECONDS, chore.most_seconds), exit=True)
                self._next[name] = now + chore.every
                counts[name] = self._run(name) or 0
        if any(counts.values()):
            self._say({name: count for name, count in counts.items() if count})
        return any(counts[name] for name, chore in self._chores.items() if chore.turn is not None)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a lock on a file for as long as the block lasts. The file stays; the system gives the lock back if the process is killed."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("another_worker_works", lock=str(path))
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
