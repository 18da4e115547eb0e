"""The application as an ASGI server runs it: a request's body is read before a thread is given to the request.

A WSGI server hands the request to a thread first, and the thread then waits for the body: a few slow senders take every thread. Here the
event loop waits, within a time limit, and a thread sees complete bodies only (docs/decisions, the server).
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, BinaryIO, cast

from a2wsgi import WSGIMiddleware

from sifilma.web.errors import PROBLEM_BASE

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
IN_MEMORY = 1024 * 1024
"""Bytes of a body that are kept in memory; a larger one goes to a temporary file."""
LARGEST_JSON = 4 * 1024 * 1024
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
TITLES = {400: "Bad Request", 408: "Request Timeout", 413: "Content Too Large"}


class Refused(Exception):
    """The request is answered here: status, stable type, and one sentence."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail


class Disconnected(Exception):
    """The client went away before its body was complete."""


class Front:
    """An ASGI application around a WSGI one.

    `threads`: how many requests are worked on at a time. `seconds`: how long a whole body may take to arrive. `largest`: bytes of a body.
    """

    def __init__(self, application: Any, *, threads: int, seconds: float, largest: int) -> None:
        self._wsgi = WSGIMiddleware(application, workers=threads)
        self._seconds, self._largest = seconds, largest

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request. Refusals: 400 (a body where none belongs), 408 (too slow), 413 (too large)."""
        if scope["type"] != "http":
            await cast(Any, self._wsgi)(scope, receive, send)
            return
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as body:
            try:
                limit = self._limit(scope)
                async with asyncio.timeout(self._seconds):
                    await _read(receive, cast(BinaryIO, body), limit)
            except TimeoutError:
                await _refuse(send, Refused(408, "body-too-slow", "The request did not arrive in time."))
                return
            except Refused as refused:
                await _refuse(send, refused)
                return
            except Disconnected:
                return
            body.seek(0)
            await cast(Any, self._wsgi)(scope, _replay(cast(BinaryIO, body)), send)

    def _limit(self, scope: Message) -> int:
        """How many bytes the body may have. Refused at once where the headers say that it has more."""
        headers = dict(scope["headers"])
        length = headers.get(b"content-length")
        if scope["method"] in WITHOUT_BODY:
            if b"transfer-encoding" in headers or length not in (None, b"0"):
                raise Refused(400, "body-not-expected", f"A {scope['method']} request has no body.")
            return 0
        is_json = b"json" in headers.get(b"content-type", b"").partition(b";")[0].lower()
        limit = min(LARGEST_JSON, self._largest) if is_json else self._largest
        if length is not None and (not length.isdigit() or int(length) > limit):
            raise _too_large(limit)
        return limit


def _too_large(limit: int) -> Refused:
    return Refused(413, "too-large", f"The request is larger than {limit} bytes.")


async def _read(receive: Receive, body: BinaryIO, limit: int) -> None:
    """Read the body to its end into the file."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        body.write(part)
        if not message.get("more_body", False):
            return


def _replay(body: BinaryIO) -> Receive:
    """A `receive` that gives the body from the file, in parts."""

    async def receive() -> Message:
        part = body.read(IN_MEMORY)
        return {"type": "http.request", "body": part, "more_body": len(part) == IN_MEMORY}

    return receive


async def _refuse(send: Send, refused: Refused) -> None:
    """Answer as RFC 9457 has it, and close the connection: what is still on its way is not read."""
    problem = {"type": PROBLEM_BASE + refused.kind, "title": TITLES[refused.status], "status": refused.status, "detail": refused.detail}
    body = json.dumps(problem).encode()
    headers = [
        (b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close"),
        (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
