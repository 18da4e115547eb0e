"""The application as an ASGI server runs it: a request's body is read before a thread is given to the request.

A WSGI server hands the request to a thread first, and the thread then waits for the body: a few slow senders take every thread. Here the
event loop waits, within a time limit, and a thread sees complete bodies only (docs/decisions, the server).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, cast

import structlog
from a2wsgi.wsgi import build_environ

from sifilma.web.body_limits import LIST
from sifilma.web.errors import PROBLEM_BASE, refusal_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
IN_MEMORY = 1024 * 1024
"""Bytes of a body that are kept in memory; a larger one goes to a temporary file."""
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
TITLES = {400: "Bad Request", 408: "Request Timeout", 413: "Content Too Large", 503: "Service Unavailable"}
MOST_WAITING = 16
"""Requests that may wait for a thread, for each thread: more are refused, so that nobody waits for minutes."""
LINGER = 1.0
"""Seconds without any data after which a refused request is not waited for any more."""
PIECE = 256 * 1024
"""Bytes of a large answer that are given to the server at a time."""
log = structlog.get_logger()


class Refused(Exception):
    """The request is answered here: status, stable type, and one sentence."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail


class Disconnected(Exception):
    """The client went away before its body, or the answer, was complete."""


class CutOff(Exception):
    """The application failed when a part of its answer was given out already."""


@dataclass
class Answer:
    """What a WSGI application answers: status and headers, and whether they were sent. `bare`: it has no body (HEAD)."""

    status: int = 500
    headers: tuple[tuple[bytes, bytes], ...] = ()
    begun: bool = False
    bare: bool = False

    def start(self, status: str, headers: list[tuple[str, str]], _fault: Any = None) -> Callable[[bytes], object]:
        """Be the `start_response` of PEP 3333. The `write` function of old applications is not offered."""
        self.status = int(status.partition(" ")[0])
        self.headers = tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers)
        return _no_write

    def messages(self, body: bytes, *, more: bool) -> Iterable[Message]:
        """Return the ASGI messages of the next part of the body."""
        if not more and not self.begun:
            self.measure(len(body))
        start = [] if self.begun else [{"type": "http.response.start", "status": self.status, "headers": self.headers}]
        self.begun = True
        return [*start, {"type": "http.response.body", "body": body, "more_body": more}]

    @property
    def has_length(self) -> bool:
        """Return whether the length of the body is stated."""
        return any(name == b"content-length" for name, _ in self.headers)

    def measure(self, size: int) -> None:
        """State the length of the body, unless it is stated or there is none: without it the server would send chunks."""
        if not self.bare and self.status not in (204, 304) and not self.has_length:
            self.headers = (*self.headers, (b"content-length", str(size).encode()))


class Spool:
    """What a thread has made of a large answer and the client has not taken yet: in memory, or in a temporary file if it is much.

    So neither the thread nor what it holds, such as a connection to the database, waits for the client.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._news, self._lock = loop, asyncio.Event(), threading.Lock()
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  # `close` closes it
        self._put = self._taken = 0
        self.size = 0  # bytes of the answer that were given out

    def put(self, part: bytes) -> None:
        """Add a part, in a thread. Raise Disconnected if nobody takes it any more."""
        with self._lock:
            if self._file.closed:
                raise Disconnected
            self._file.seek(self._put)
            self._put += self._file.write(part)
            self.size += len(part)
        self._loop.call_soon_threadsafe(self._news.set)

    def take(self) -> bytes:
        """Return the next PIECE at most, in the event loop; nothing if everything was taken."""
        with self._lock:
            self._file.seek(self._taken)
            part = self._file.read(PIECE)
            self._taken += len(part)
            if self._taken == self._put:
                self._put = self._taken = 0
                self._file.seek(0)
                self._file.truncate()
        return part

    async def news(self) -> None:
        """Wait until something was put, or `wake` was called."""
        await self._news.wait()
        self._news.clear()

    def wake(self, _ended: object) -> None:
        """End a waiting for news, in the event loop."""
        self._news.set()

    def close(self) -> None:
        """Drop what was not taken."""
        with self._lock:
            self._file.close()


def _no_write(_part: bytes) -> object:
    raise NotImplementedError("write() of PEP 3333 is not offered")


class Front:
    """An ASGI application around a WSGI one.

    `threads`: how many requests are worked on at a time. `seconds`: how long a whole body may take to arrive. `largest`: bytes of a body.
    """

    def __init__(self, application: Any, *, threads: int, seconds: float, largest: int) -> None:
        self._application = application
        self._threads, self._seconds, self._largest = threads, seconds, largest
        self._pool: ThreadPoolExecutor | None = None
        self._present = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request. Refusals: 400 (a body where none belongs), 408 (too slow), 413 (too large), 503 (too many at once)."""
        if scope["type"] != "http":
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
                await _refuse(send, refused, partial(_discard, receive, self._seconds))
                return
            except Disconnected:
                return
            size = body.tell()
            body.seek(0)
            if self._present >= MOST_WAITING * self._threads:
                await _refuse(send, Refused(503, "busy", "The service has more to do than it can. Try again in a moment."))
                return
            gone = asyncio.ensure_future(receive())  # after the body it returns when the client has gone, and not before
            self._present += 1
            try:
                await self._answer(scope, cast(BinaryIO, body), size, send, gone)
            except Refused as refused:
                await _refuse(send, refused)
            finally:
                self._present -= 1
                gone.cancel()

    async def _answer(self, scope: Message, body: BinaryIO, size: int, send: Send, gone: asyncio.Future[Message]) -> None:
        """Run the application in a thread. A small answer comes back whole; a large one is sent from a spool as the thread makes it.

        An answer that fails in the middle is left without its end: the server then closes the connection, and nobody takes the part for
        the whole.
        """
        loop = asyncio.get_running_loop()
        if self._pool is None:  # made after the fork: threads do not live on in a child
            self._pool = _started_pool(self._threads)
        # `X_Forwarded_For` would become the same name as `X-Forwarded-For`, which a proxy has set.
        headers = [header for header in scope["headers"] if b"_" not in header[0]]
        environ: dict[str, Any] = cast(Any, build_environ)({**scope, "headers": headers}, body)
        environ.pop("HTTP_TRANSFER_ENCODING", None)  # the body is whole: its length is known, also where it came in chunks
        environ["CONTENT_LENGTH"] = str(size)
        answer = Answer(bare=scope["method"] == "HEAD")
        whole = scope["http_version"] == "1.0"  # it knows no chunks
        with contextlib.closing(Spool(loop)) as spool, contextlib.suppress(Disconnected, CutOff):
            work = loop.run_in_executor(self._pool, self._run, environ, answer, spool, gone, whole)
            work.add_done_callback(spool.wake)
            is_done = False
            while not is_done:
                await spool.news()
                is_done = work.done()  # asked before the spool is emptied: what was put before the end is then taken
                while part := spool.take():
                    await _send(send, answer.messages(part, more=True))
            await _send(send, answer.messages(await work, more=False))

    def _run(self, environ: Any, answer: Answer, spool: Spool, gone: asyncio.Future[Message], whole: bool) -> bytes:
        """In a thread: call the application. Return the end of the body; what is too much to be collected goes to the spool before.

        `whole`: an answer of unknown length is written to a temporary file first, and its length is stated.
        Raise Disconnected if nobody waits for the answer any more, and CutOff if it cannot be completed.
        """
        try:
            return self._collect(environ, answer, spool, gone, whole)
        except Disconnected:
            raise
        except Exception as fault:  # noqa: BLE001  # the edge of the application: whatever it raises, the client gets an answer
            return _failed(answer, fault, spool.size, environ["PATH_INFO"])

    def _collect(self, environ: Any, answer: Answer, spool: Spool, gone: asyncio.Future[Message], whole: bool) -> bytes:
        if gone.done():  # the client gave up while the request waited for a thread
            raise Disconnected
        parts, size = list[bytes](), 0
        result = self._application(environ, answer.start)
        closing = contextlib.closing(result) if hasattr(result, "close") else contextlib.nullcontext()
        with closing, tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
            made = _measured(result, answer, cast(BinaryIO, file)) if whole else result
            # Of a stream the first part is sent before the second is made.
            at_once = IN_MEMORY if answer.has_length or isinstance(result, list | tuple) else 0
            for part in made:
                parts.append(part)
                size += len(part)
                if size > at_once:
                    if gone.done():
                        raise Disconnected
                    spool.put(b"".join(parts))
                    parts, size = [], 0
        return b"".join(parts)

    def _limit(self, scope: Message) -> int:
        """How many bytes the body may have. Refused at once where the headers say that it has more."""
        headers = dict(scope["headers"])
        length = headers.get(b"content-length")
        if b"upgrade" in headers and scope["method"] not in WITHOUT_BODY:
            raise Refused(400, "upgrade-not-offered", "This service offers no other protocol.")  # uvicorn would lose the body
        if scope["method"] in WITHOUT_BODY:
            if b"transfer-encoding" in headers or (length or b"").strip(b"0"):
                raise Refused(400, "body-not-expected", "A request of this method has no body.")
            return 0
        is_json = b"json" in headers.get(b"content-type", b"").partition(b";")[0].lower()
        limit = min(LIST, self._largest) if is_json else self._largest
        if length is not None and (not length.isdigit() or int(length) > limit):
            raise _too_large()
        return limit


def _measured(result: Iterable[bytes], answer: Answer, file: BinaryIO) -> Iterable[bytes]:
    """Write the answer's body to a file, state its length, and return its parts."""
    file.writelines(result)
    answer.measure(file.tell())
    file.seek(0)
    return iter(lambda: file.read(IN_MEMORY), b"")


def _started_pool(threads: int) -> ThreadPoolExecutor:
    """Return a pool whose threads all run already. Raise Refused (503) if one cannot be started.

    A pool starts its threads as work comes. Where one cannot be started, the work stays queued although the caller was refused, and another
    thread does it later.
    """
    pool, met = ThreadPoolExecutor(threads, thread_name_prefix="request"), threading.Barrier(threads)
    try:
        for _ in range(threads):
            pool.submit(met.wait)  # holds its thread, so that the next needs another one
    except RuntimeError:
        met.abort()
        pool.shutdown(wait=False, cancel_futures=True)
        raise Refused(503, "busy", "The service has more to do than it can. Try again in a moment.") from None
    return pool


def _failed(answer: Answer, fault: Exception, sent: int, path: str) -> bytes:
    """Return the body of the answer where the application raised instead of answering: a database may be lost while a file is made.

    Raise CutOff if a part of the answer was given out.
    """
    refusal = refusal_of(fault)  # logs what nobody expected
    if sent:
        log.error("answer cut off", path=path, bytes=sent, fault=type(fault).__name__)
        raise CutOff from fault
    answer.status = refusal.status
    answer.headers, body = _problem(refusal.status, refusal.type, refusal.title, refusal.detail)
    return body


def _too_large() -> Refused:
    return Refused(413, "too-large", "The request is larger than this service accepts.")


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
            raise _too_large()
        body.write(part)
        if not message.get("more_body", False):
            return


async def _send(send: Send, messages: Iterable[Message]) -> None:
    for message in messages:
        await send(message)


async def _discard(receive: Receive, seconds: float) -> None:
    """Read what is still on its way and forget it, until it ends, pauses for LINGER seconds, or has taken `seconds`.

    A connection that is closed before is reset, and the answer may be lost with it. A proxy takes that for a dead node: it would give
    no more requests to a node that refused a stranger's two large bodies.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                async with asyncio.timeout(LINGER):
                    message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


async def _refuse(send: Send, refused: Refused, discard: Callable[[], Awaitable[None]] | None = None) -> None:
    """Answer as RFC 9457 has it, forget what is still on its way, and close the connection."""
    headers, body = _problem(refused.status, refused.kind, TITLES[refused.status], refused.detail)
    await send({"type": "http.response.start", "status": refused.status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if discard is not None:
        await discard()
    await send({"type": "http.response.body", "body": b""})


def _problem(status: int, kind: str, title: str, detail: str) -> tuple[tuple[tuple[bytes, bytes], ...], bytes]:
    """Return headers and body of a problem document (RFC 9457)."""
    body = json.dumps({"type": PROBLEM_BASE + kind, "title": title, "status": status, "detail": detail}).encode()
    headers = (
        (b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"),
    )  # fmt: skip
    return headers, body
