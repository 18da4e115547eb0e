"""Real worker processes, each with a home of its own, as on several hosts."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.servers import environment, fork_server
from tests.support.world import World


class Worker:
    """A worker in a process group of its own. Its home is a copy of the world's."""

    def __init__(self, world: World, home: Path | None = None, **settings: str) -> None:
        self.home = home or world.settings.home
        if not self.home.exists():
            shutil.copytree(world.settings.home, self.home)
        self.log = self.home / "worker.log"
        self.pid = fork_server().start(
            environment(world) | {"SIFILMA_HOME": str(self.home), "SIFILMA_REQUEST_DEADLINE": "10"} | settings, self.log, "worker"
        )

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL to the process group, and wait until it is gone."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        until(lambda: not self.lives, 10)

    @property
    def lives(self) -> bool:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        return False


def until(condition: Callable[[], Any], seconds: float, told: Callable[[], str] = str) -> float:
    """Wait until the condition holds; return the seconds that took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(told()[-3000:])
        time.sleep(0.05)
    return time.monotonic() - began


def take_for_dead(world: World) -> None:
    """Have the engine take every worker that gives no further sign of life for dead at once, so that a test need not wait for that."""
    world.sql("UPDATE procrastinate.procrastinate_workers SET last_heartbeat = now() - interval '20 seconds'")


class Managed:
    """A worker as a service manager keeps it: one that ended by itself, since a run took too long on a loaded machine, is started anew."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._worker = Worker(world)

    def kill(self) -> None:
        self._worker.kill()

    def progress(self, job: Any, beyond: int, seconds: float = 120) -> int:
        """Wait until more rows than `beyond`, or all, are done; return their number."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            (state, count) = self._world.sql("SELECT state, done FROM job WHERE id = :id", id=job["id"])[0]
            if count > beyond or state == "completed":
                return int(count)
            if not self._worker.lives:
                take_for_dead(self._world)
                self._worker = Worker(self._world)
            time.sleep(0.05)
        raise TimeoutError((self._world.settings.home / "worker.log").read_text()[-2000:])
