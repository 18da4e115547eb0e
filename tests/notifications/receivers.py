"""Real receivers on 127.0.0.1: a mail server, an SMS centre, an HTTP gateway. Each keeps what it receives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import smpp34
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from tests.support.servers import free_port


@dataclass
class Received:
    """The received items and the port of the receiver."""

    port: int
    items: list[Any] = field(default_factory=list)


class _Mailbox:
    def __init__(self, received: Received, refuse: str) -> None:
        self._received, self._refuse = received, refuse

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any) -> str:  # noqa: N802  # aiosmtpd's name
        if address.startswith("nobody"):
            return self._refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        content = envelope.content or b""
        self._received.items.append((envelope.rcpt_tos, message_from_bytes(content if isinstance(content, bytes) else content.encode())))
        return "250 kept"


@contextmanager
def mail_server(refuse: str = "550 no such mailbox") -> Iterator[Received]:
    """Yield an aiosmtpd server, which refuses mail for nobody@…."""
    received = Received(free_port())
    controller = Controller(_Mailbox(received, refuse), hostname="127.0.0.1", port=received.port)
    controller.start()
    try:
        yield received
    finally:
        controller.stop()


@contextmanager
def sms_centre(reject: int = 0) -> Iterator[Received]:
    """Yield an SMPP 3.4 server in a thread; `reject` is the status with which it answers every message."""
    received, ready = Received(free_port()), threading.Event()
    held: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None] | None]] = []

    async def serve() -> None:
        held.append((asyncio.get_running_loop(), asyncio.current_task()))
        server = smpp34.Server("127.0.0.1", received.port)
        await server.start()
        ready.set()
        try:
            while True:
                event = await server.next()
                if isinstance(event, smpp34.SubmitSmEvent):
                    received.items.append(event)
                    event.reject(reject) if reject else event.accept(f"id-{len(received.items)}")
        finally:
            await server.stop()

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield received
    finally:
        loop, task = held[0]
        assert task is not None
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


@contextmanager
def gateway(status: int = 200, *, after: float = 0, fails: Callable[[], bool] = lambda: False) -> Iterator[Received]:
    """Yield an HTTP receiver that answers every message with `status` after `after` seconds. Those for which it `fails` get 503."""
    received = Received(0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            is_failing = fails()
            if not is_failing:
                received.items.append((dict(self.headers), body))
            time.sleep(after)
            self.send_response(503 if is_failing else status)
            self.end_headers()
            self.wfile.write(b'{"id": "wa-1"}')

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
