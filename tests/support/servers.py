"""Real server processes (as `sifilma serve` starts them) on free ports, for tests that kill or freeze a server."""

from __future__ import annotations

import atexit
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.support.world import World

ROOT = Path(__file__).resolve().parents[2]


def environment(world: World) -> dict[str, str]:
    """Return the environment variables of a server with this world's database, token and home."""
    return {
        "SIFILMA_ENV": "test",
        "SIFILMA_HOME": str(world.settings.home),
        "SIFILMA_DATABASE_URL": world.settings.database_url,
        "SIFILMA_SECRET_KEY": world.settings.secret("secret_key"),
        "SIFILMA_LOG_LEVEL": "WARNING",
        "SIFILMA_WORKERS": str(world.settings.workers),
        "SIFILMA_RATE_PER_MINUTE_ADDRESS": "0",
        "SIFILMA_RATE_PER_MINUTE_ACTOR": "0",
        "SIFILMA_REQUEST_DEADLINE": str(world.settings.request_deadline),
        "SIFILMA_STILL_SECONDS": str(max(world.settings.still_seconds, world.settings.request_deadline + 5)),
        "SIFILMA_BULK_AT_ONCE": str(world.settings.bulk_at_once),
        "SOFTHSM2_CONF": os.environ["SOFTHSM2_CONF"],
    }


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def named(parent: int, name: str) -> list[int]:
    """Return the children of a process that have this name and are alive."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            comm, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            state, above = rest.split()[:2]
            if (comm, above) == (name, str(parent)) and state != "Z":
                found.append(int(stat.parent.name))
    return found


class ForkServer:
    """The process from which servers are forked (tests/support/fork_server.py)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self.close)

    def start(self, settings: dict[str, str], log: Path, command: str = "serve") -> int:
        """Start `sifilma serve` (or another command) and return its process id, which is also the id of its process group."""
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: PT018  # PIPE
        self._process.stdin.write(json.dumps({"environment": settings, "log": str(log), "command": command}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """Close the input of the process, which ends it, and wait for it."""
        self._process.communicate()


@lru_cache(maxsize=1)
def fork_server() -> ForkServer:
    """Return the fork server of this process."""
    return ForkServer()


class Server:
    """One server and its workers, in a process group of their own."""

    def __init__(self, world: World, **settings: str) -> None:
        self.port = free_port()
        self._log = world.settings.home / f"server-{self.port}.log"
        self.pid = fork_server().start(environment(world) | settings | {"SIFILMA_PORT": str(self.port)}, self._log)

    def wait(self, seconds: float = 60) -> Server:
        """Wait until /livez answers 200, and return the server.

        RuntimeError with the end of its log if the process has ended, TimeoutError after `seconds`.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not self._lives():
                raise RuntimeError(f"the server ended: {self._log.read_text()[-2000:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.call("GET", "/livez")[0] == 200:
                    return self
            time.sleep(0.02)
        raise TimeoutError("the server did not answer")

    def call(self, method: str, path: str, body: Any = None, timeout: float = 30, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Send one request; return status, JSON (or text) and headers. OSError or HTTPException when the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, json.dumps(body) if body is not None else None, sent)
            answer = connection.getresponse()
            data = answer.read()
            is_json = "json" in (answer.headers.get_content_type() or "")
            return answer.status, json.loads(data) if is_json else data.decode("latin-1"), dict(answer.headers)
        finally:
            connection.close()

    def kill(self) -> None:
        """Send SIGKILL to the process group and return when the server's process is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        while self._lives():
            time.sleep(0.002)

    def _lives(self) -> bool:
        return Path(f"/proc/{self.pid}").exists()


@contextlib.contextmanager
def running(world: World, **settings: str) -> Iterator[Server]:
    """Yield a server that answers, and kill it afterwards. `settings` are environment variables."""
    server = Server(world, **settings)
    try:
        yield server.wait()
    finally:
        server.kill()
