"""The real supervisor and front door around a WSGI application of one line, and an idle worker: what starts fast can be stopped often.

python -m tests.commands.small_server PORT COUNT BODY_SECONDS STILL_SECONDS
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
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


if __name__ == "__main__":
    main(*sys.argv[1:])
