"""A node whose processes are killed and frozen: a supervisor with its server processes and its worker."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.servers import environment, fork_server, free_port, named
from tests.support.world import World

SERVERS = 2
FREEZE = (0.1, 1.5)
"""Seconds for which a process stands still: shorter than what makes the supervisor replace it."""
START = 120.0
"""Seconds in which a node that was killed must answer again."""


class Node:
    """The processes of one node, as `sifilma up` starts them. `disturb` kills or freezes one of them.

    `restore` starts the supervisor again where it is gone. Everything else the supervisor does.
    """

    def __init__(self, world: World) -> None:
        self.port = free_port()
        self._log = world.settings.home / "node.log"
        self._settings = environment(world) | {"SIFILMA_PORT": str(self.port), "SIFILMA_WORKERS": str(SERVERS)}
        self._supervisor = 0
        self.restore()

    def servers(self) -> list[int]:
        """Return the process ids of the server processes."""
        return named(self._supervisor, "sifilma-server")

    def workers(self) -> list[int]:
        """Return the process id of the worker; none for a moment after it was killed."""
        return named(self._supervisor, "sifilma-worker")

    def log(self) -> str:
        """Return the end of what the processes have said."""
        return self._log.read_text(errors="replace")[-3000:]

    def restore(self) -> None:
        """Start the supervisor if it is gone, and wait until the node answers. TimeoutError after START seconds."""
        until = time.monotonic() + START
        while not self._answers():
            if not lives(self._supervisor):
                self._end_all()  # the children of one that was killed would keep the port until they notice
                self._supervisor = fork_server().start(self._settings, self._log, "up")
            if time.monotonic() > until:
                raise TimeoutError(f"the node does not answer: {self.log()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/livez")
            return lives(self._supervisor) and connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def end(self) -> None:
        """Kill everything."""
        self._end_all()

    # --- disturbances ------------------------------------------------------------------------------------------------

    def disturb(self, chance: random.Random) -> str:
        """Kill or freeze a process, as chance has it. Return what was done."""
        [(name, _, disturb)] = chance.choices(DISTURBANCES, [weight for _, weight, _ in DISTURBANCES])
        disturb(self, chance)
        return name

    def kill_server(self, chance: random.Random) -> None:
        """One server process."""
        kill(self.servers(), chance)

    def kill_worker(self, chance: random.Random) -> None:
        """The worker."""
        kill(self.workers(), chance)

    def kill_supervisor(self, chance: random.Random) -> None:
        """The supervisor alone. Its children end by themselves, or when the next supervisor is started."""
        kill([self._supervisor], chance)

    def kill_all(self, _chance: random.Random) -> None:
        """The supervisor and its children at once, as a service manager does."""
        self._end_all()

    def freeze_server(self, chance: random.Random) -> None:
        """One server process stands still for a moment."""
        freeze(self.servers(), chance)

    def freeze_worker(self, chance: random.Random) -> None:
        """The worker stands still for a moment."""
        freeze(self.workers(), chance)

    def freeze_supervisor(self, chance: random.Random) -> None:
        """The supervisor stands still for a moment."""
        freeze([self._supervisor], chance)

    def _end_all(self) -> None:
        """Kill the process group of the supervisor, and wait until every process in it is gone."""
        if not self._supervisor:
            return
        members = group(self._supervisor)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._supervisor, signal.SIGKILL)
        wait_for_end(members)


Disturbance = Callable[[Node, random.Random], None]
DISTURBANCES: tuple[tuple[str, int, Disturbance], ...] = (
    ("server process killed", 50, Node.kill_server),
    ("worker killed", 16, Node.kill_worker),
    ("supervisor killed", 8, Node.kill_supervisor),
    ("supervisor and server processes killed", 8, Node.kill_all),
    ("server process frozen", 10, Node.freeze_server),
    ("worker frozen", 5, Node.freeze_worker),
    ("supervisor frozen", 3, Node.freeze_supervisor),
)
"""What can be done to a node, and how often of a hundred times."""


def is_kill(name: str) -> bool:
    """Return whether a disturbance is a kill."""
    return name.endswith("killed")


def kill(pids: Sequence[int], chance: random.Random) -> None:
    """Kill one of these processes, if there are any, and wait until it is gone: a busy machine lets it look alive for a moment."""
    for pid in chance.sample(pids, min(1, len(pids))):
        send(pid, signal.SIGKILL)
        wait_for_end([pid])


def freeze(pids: Sequence[int], chance: random.Random) -> None:
    """Stop one of these processes, and let it go on a moment later, in a thread of its own."""
    for pid in chance.sample(pids, min(1, len(pids))):
        send(pid, signal.SIGSTOP)
        threading.Timer(chance.uniform(*FREEZE), send, (pid, signal.SIGCONT)).start()


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_for_end(pids: Sequence[int], seconds: float = 10) -> None:
    """Wait until these processes are gone. TimeoutError after so many seconds."""
    until = time.monotonic() + seconds
    while any(lives(pid) for pid in pids):
        if time.monotonic() > until:
            raise TimeoutError(f"killed and still there: {pids}")
        time.sleep(0.002)


def lives(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    with contextlib.suppress(OSError):
        return pid > 0 and _stat(pid)[0] != "Z"
    return False


def group(leader: int) -> list[int]:
    """Return the ids of the processes in a group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(_stat(int(folder.name))[2]) == leader:
                found.append(int(folder.name))
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name: state, parent, process group, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
