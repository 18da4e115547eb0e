"""The real supervisor and front door around a WSGI application of one line, and an idle worker: what starts fast can be stopped often.

python -m tests.commands.small_server PORT COUNT BODY_SECONDS STILL_SECONDS

Without arguments it forks such servers, each for one message on the socket that is its standard input: the imports take most of a
server's start.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.exc import OperationalError

from sifilma.app.asgi import Front
from sifilma.commands.supervisor import Supervisor, beside, listen
from sifilma.kernel import logging

BUSY: list[str] = []
"""The requests for `/busy` so far, by method."""
LARGEST = 6 * 1024 * 1024


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The process's number and the size of the body; `/slow` takes half a second first, `/large` answers 40 MB.

    `/fails` raises at once, `/breaks` after 3 MB of its answer, `/busy` answers 503, `/headers` what came. `/later` sends its end two
    seconds after its beginning, `/broken` fails after its beginning.
    """
    if environ["PATH_INFO"] == "/fails":
        raise OperationalError("", None, psycopg.OperationalError("the server is gone"))
    if environ["PATH_INFO"] == "/busy":
        BUSY.append(environ["REQUEST_METHOD"])
        start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "7")])
        return [f"busy {len(BUSY)}".encode()]
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.5)
    size = len(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/seen":
        return [f"{environ['REMOTE_ADDR']} {environ['HTTP_X_FORWARDED_FOR']}".encode()]
    if environ["PATH_INFO"] == "/headers":
        return [json.dumps({name: value for name, value in environ.items() if isinstance(value, str)}).encode()]
    if environ["PATH_INFO"] in ("/later", "/broken"):
        return _in_parts(environ["PATH_INFO"])
    if environ["PATH_INFO"] == "/large":
        return (b"x" * 1024 * 1024 for _ in range(40))
    if environ["PATH_INFO"] == "/breaks":
        return (_part(number) for number in range(10))
    return [f"{os.getpid()} {size}".encode()]


def _part(number: int) -> bytes:
    if number == 3:
        raise OperationalError("", None, psycopg.OperationalError("the server is gone"))
    return b"x" * 1024 * 1024


def _in_parts(path: str) -> Iterator[bytes]:
    yield b"beginning, "
    if path == "/broken":
        raise OSError("what the parts come from has gone")
    time.sleep(2)
    yield b"end"


def main(port: str, count: str, seconds: str, still: str) -> None:
    """Serve until stopped."""
    logging.configure("INFO", as_json=True)
    front = Front(application, threads=4, seconds=float(seconds), largest=LARGEST)
    listener, worker = listen("127.0.0.1", int(port)), beside("worker", idle)
    Supervisor(front, listener, count=int(count), drain=5.0, still=float(still), head=float(seconds), beside=[worker]).run()


def idle() -> None:
    """Be a worker that has nothing to do. With SMALL_WORKER_DIES it ends at once."""
    while "SMALL_WORKER_DIES" not in os.environ:
        time.sleep(1)


class SmallServer:
    """A server that was forked, as Popen describes a process. It leads a process group of its own."""

    def __init__(self, *arguments: float) -> None:
        (errors, errors_there), (told, told_there) = os.pipe(), os.pipe()
        message = json.dumps({"arguments": [str(one) for one in arguments], "environment": dict(os.environ)}).encode()
        socket.send_fds(_forker(), [message], [errors_there, told_there])
        os.close(errors_there)
        os.close(told_there)
        self.stderr, self._told = os.fdopen(errors, "rb"), os.fdopen(told, "rb", buffering=0)
        self._status: int | None = None
        self._said = b""
        self.pid = self._number(20)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status, negative for a signal. subprocess.TimeoutExpired if the server has not ended in time."""
        if self._status is None:
            self._status = self._number(timeout)
        return self._status

    def terminate(self) -> None:
        """Send SIGTERM, unless the process is known to have ended."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, unless the process is known to have ended."""
        self._send(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[None, bytes]:
        """Wait for the end; return what stood on standard error, at the place where Popen returns it."""
        self.wait(timeout)
        if not self._told.closed:
            self._told.close()
            with self.stderr:
                self._said = self.stderr.read()
        return None, self._said

    def _send(self, number: signal.Signals) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _number(self, timeout: float | None) -> int:
        if not select.select([self._told], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("small_server", timeout or 0)
        return int(self._told.readline())


@lru_cache(maxsize=1)
def _forker() -> socket.socket:
    """Start the process that forks servers; return the socket to it. The process ends when the socket is closed."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command, root = [sys.executable, "-m", "tests.commands.small_server"], Path(__file__).resolve().parents[2]
    forker = subprocess.Popen(command, cwd=root, stdin=there.fileno(), start_new_session=True)
    there.close()

    def end() -> None:
        here.close()
        forker.wait(10)

    atexit.register(end)
    return here


def forked() -> list[str]:
    """Fork a server for each message until the socket is closed. Return the arguments of a server, in its process alone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits here for those who wait for the servers
    control = socket.socket(fileno=0)
    while True:
        message, passed, _, _ = socket.recv_fds(control, 1 << 18, 2)
        if not message:
            sys.exit()
        if os.fork() == 0:
            control.close()
            break
        for one in passed:
            os.close(one)
    errors, told = passed
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        os.close(errors)
        os.write(told, b"%d\n" % pid)
        os.write(told, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        os._exit(0)
    os.setsid()
    os.close(told)
    os.open(os.devnull, os.O_RDONLY)  # becomes the standard input, whose number is free
    os.dup2(errors, 2)
    os.close(errors)
    wanted = json.loads(message)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    return list(wanted["arguments"])


if __name__ == "__main__":
    main(*(sys.argv[1:] or forked()))
