"""The real supervisor and front door around a WSGI application of one line: what starts fast can be stopped often.

python -m tests.commands.small_server PORT COUNT BODY_SECONDS STILL_SECONDS
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from sifilma.app.asgi import Front
from sifilma.commands.supervisor import Supervisor, listen

BUSY: list[str] = []
"""The requests for `/busy` so far, by method."""
LARGEST = 6 * 1024 * 1024


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The process's number and the size of the body; `/slow` takes half a second, `/large` is 40 MB, `/busy` 503, `/headers` what came."""
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
    if environ["PATH_INFO"] == "/large":
        return (b"x" * 1024 * 1024 for _ in range(40))
    return [f"{os.getpid()} {size}".encode()]


def main(port: str, count: str, seconds: str, still: str) -> None:
    """Serve until stopped."""
    front = Front(application, threads=4, seconds=float(seconds), largest=LARGEST)
    Supervisor(front, listen("127.0.0.1", int(port)), count=int(count), drain=5.0, still=float(still), head=float(seconds)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
