"""The front door: no request is done whose answer was a refusal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from typing import Any

from sifilma.app.asgi import Front

SCOPE = {
    "type": "http", "http_version": "1.1", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"",
    "headers": [], "root_path": "",
    "scheme": "http", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
}  # fmt: skip


def status_of(front: Front) -> int:
    """Return the status of one GET."""
    statuses: list[int] = []
    received = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if not received:
            await asyncio.Event().wait()
        return received.pop()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    asyncio.run(front(dict(SCOPE), receive, send))
    return statuses[0]


def test_a_request_refused_for_want_of_threads_is_not_done_later() -> None:
    done: list[str] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        done.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b"done"]

    front = Front(application, threads=4, seconds=5, largest=1000)
    former = threading.stack_size(1 << 50)  # bytes: no system has them, so that no thread can start
    try:
        assert [status_of(front) for _ in range(20)] == [503] * 20
    finally:
        threading.stack_size(former)
    assert [status_of(front) for _ in range(6)] == [200] * 6
    assert done == ["/"] * 6
    assert front._present == 0
