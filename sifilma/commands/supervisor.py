"""The supervisor of the processes: it starts servers and worker, replaces one that died or stands still, and ends them within their time.

The server itself is uvicorn. Its own supervisor starts each worker with a fresh interpreter and waits for ever when it stops; this one
forks from a process that has imported the application, and every wait has an end (docs/decisions, the server).
"""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from config.settings import SettingsError
from sifilma.web.errors import PROBLEM_BASE

FORK = multiprocessing.get_context("fork")
BEAT_SECONDS = 1.0
"""How often a process gives a sign of life: a byte in its pipe."""
LEAST_LIFE = 1.0
"""A process that dies sooner than this many seconds after its start is replaced only then, and each time in a row after twice as long."""
MOST_PAUSE = 16.0
"""The longest such pause, in seconds."""
MOST_HEAD = 32 * 1024
"""Bytes of a request's line and headers. The largest cookie of a browser has 4 KB."""
STOPS = (signal.SIGTERM, signal.SIGINT)
log = structlog.get_logger()


class HeadDeadline(HttpToolsProtocol):
    """uvicorn's HTTP protocol with limits of time and size for the head of a request, the first on a connection and each later one.

    uvicorn has a time-out between two requests only, and no limit of size. A connection that never sends a whole head would stay for ever.
    """

    seconds: float
    _head = 0
    _too_large = False
    _timer: Any = None
    _stuck: Any = None

    def connection_made(self, transport: Any) -> None:
        """The time of the first head begins."""
        super().connection_made(transport)
        self._begin()

    def on_message_begin(self) -> None:
        """The time of a later head begins; that of the first goes on."""
        if self._timer is None:
            self._begin()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is there; the body's time is the application's affair (sifilma/app/asgi.py)."""
        self._end()
        self._head = 0
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MOST_HEAD:
            self._too_large = True
            raise ValueError("the head is too large")  # the parser stops, and `send_400_response` is called
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer 431 to a head that is too large, else 400, and close the connection."""
        if not self._too_large:
            super().send_400_response(msg)
            return
        problem = {"type": PROBLEM_BASE + "head-too-large", "title": "Request Header Fields Too Large", "status": 431}
        body = json.dumps(problem | {"detail": "The line and the headers of a request have at most 32 KB."}).encode()
        fields = f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + fields.encode() + body)
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head that is not complete.

        Bytes that begin no request, such as a bare line end, have stopped uvicorn's own time-out: a time of ours begins.
        """
        if self.transport.is_closing():
            return
        self._head += len(data) if self._timer is not None else 0
        super().data_received(data)
        if self._timer is not None and self._head > MOST_HEAD and not self.transport.is_closing():
            self._too_large = True
            self.send_400_response("")
            return
        cycle: Any = self.cycle  # None before the first request
        idle = cycle is None or cycle.response_complete
        if idle and self._timer is None and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self._begin()

    def pause_writing(self) -> None:
        """The peer reads too slowly. It has `seconds` to take what is buffered: a thread may be waiting for that."""
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer has taken what was buffered."""
        self._unstick()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._end()
        self._unstick()
        super().connection_lost(exc)

    def _unstick(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _begin(self) -> None:
        self._timer = self.loop.call_later(self.seconds, self._late)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:  # an earlier request on this connection is being answered
            self._begin()
        elif not self.transport.is_closing():
            self.transport.close()


class BeatingServer(Server):
    """uvicorn's server, which beats from its event loop, and whose stop is one and the same however many signals come."""

    def __init__(self, config: Config, beat: Callable[[], None]) -> None:
        super().__init__(config)
        self._beat = beat

    async def on_tick(self, counter: int) -> bool:
        """Beat once a second. uvicorn's own beat goes by the wall clock, which may be set back."""
        if counter % 10 == 0:
            self._beat()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop. uvicorn would cut running requests at a second SIGINT."""
        self._captured_signals.append(sig)
        self.should_exit = True


Beat = Callable[[], None]
"""Gives a sign of life. It ends the process if the supervisor is gone: nobody else would."""


@dataclass(frozen=True)
class Role:
    """What a process is for. `run` serves or works until SIGTERM, and calls its argument every second."""

    name: str
    run: Callable[[Beat], None]


@dataclass
class Child:
    """One process: its pipe of beats, and the moments (monotonic seconds) it was started, last heard of, and found to have ended.

    `early`: how many processes before it died in a row before LEAST_LIFE.
    """

    role: Role
    process: Any
    beats: int
    early: int
    started: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def due(self) -> float:
        """Return the moment at which another process may be started in place of this one."""
        return self.started + min(LEAST_LIFE * float(2**self.early), MOST_PAUSE)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket of this address. SettingsError where another program has it: two servers never share a port unseen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as fault:
        listener.close()
        reason = "another program listens there" if fault.errno == errno.EADDRINUSE else os.strerror(fault.errno or 0)
        raise SettingsError(f"{host}:{port} cannot be had: {reason}. Stop it, or set SIFILMA_PORT.") from None
    listener.set_inheritable(True)
    return listener


class Supervisor:
    """`count` server processes behind one socket, and one process for each role in `beside`.

    Each server process first calls `begin` with its place (0 to `count` - 1), which a process started in its place gets again.
    In seconds: `drain`, what a stop may take; `still`, how long a process may give no sign of life before it is replaced; `head`, how long
    the head of a request may take to arrive.
    """

    def __init__(
        self, application: Any, listener: socket.socket, *, count: int, drain: float, still: float, head: float,
        beside: Sequence[Role] = (), begin: Callable[[int], None] = lambda _place: None,
    ) -> None:  # fmt: skip
        self._application, self._listener = application, listener
        self._drain, self._still, self._head = drain, still, head
        self._begin = begin
        self._servers = [Role("server", partial(self._serve, place)) for place in range(count)]
        self._roles = [*self._servers, *beside]
        self._children: list[Child] = []
        self._stopping = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Whatever signals come in whatever order, the end comes within `drain` seconds and a little."""
        with self._signals() as woken:
            try:
                for role in self._roles:
                    self._children.append(self._start(role, early=0))
                while not self._stopping:
                    self._round(woken)
            finally:  # also after a fault of this process: processes without a supervisor would go on for ever
                self._stop()

    def _round(self, woken: int) -> None:
        began = time.monotonic()
        pipes = [child.beats for child in self._children if child.ended is None]  # the pipe of a dead one would be readable for ever
        readable, _, _ = select.select([woken, *pipes], [], [], BEAT_SECONDS)
        self._hear(readable)
        if time.monotonic() - began > 3 * BEAT_SECONDS:  # this process stood still itself, and so did the others: they get their time anew
            for child in self._children:
                child.heard = time.monotonic()
        if not self._stopping:
            self._replace()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[int]:
        """A pipe that becomes readable with a signal. The handler sets one attribute: it can be entered again at any moment."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        former_descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        former = {number: signal.signal(number, self._note) for number in STOPS}
        try:
            yield reading
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(former_descriptor)
            os.close(reading)
            os.close(writing)

    def _note(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _start(self, role: Role, early: int) -> Child:
        """Fork a process. Signals wait meanwhile: none is lost between the fork and the child's own handlers."""
        reading, writing = os.pipe2(os.O_NONBLOCK)
        process = FORK.Process(target=self._work, args=(role, writing, os.getpid()))
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            process.start()
        except OSError:
            os.close(reading)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            os.close(writing)
        return Child(role, process, reading, early)

    def _work(self, role: Role, beats: int, parent: int) -> None:
        """In the child: do what the role says until told to stop, and tell the parent every second that this process goes on."""
        signal.set_wakeup_fd(-1)
        for number in STOPS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(f"sifilma-{role.name}")  # what `ps` and `top` show
        if role not in self._servers:
            self._listener.close()  # the port shall be free when the servers have ended

        def beat() -> None:
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                os.write(beats, b".")

        role.run(beat)

    def _serve(self, place: int, beat: Beat) -> None:
        """Serve. The beat comes from the event loop."""
        self._begin(place)
        HeadDeadline.seconds = self._head
        config = Config(
            self._application, http=HeadDeadline, ws="none", lifespan="off", access_log=False, log_config=None, log_level="warning",
            proxy_headers=False,  # the application decides whom it believes (`trusted_proxies`)
            server_header=False, limit_concurrency=2000, timeout_keep_alive=15,
            timeout_graceful_shutdown=max(1, int(self._drain) - 1),
        )  # fmt: skip
        BeatingServer(config, beat).run([self._listener])

    def _hear(self, readable: list[int]) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.ended is None and child.beats in readable:
                with contextlib.suppress(BlockingIOError):
                    if os.read(child.beats, 4096):
                        child.heard = now
                    else:  # the end of the pipe: the process is ending
                        child.process.join(0.05)

    def _replace(self) -> None:
        """Kill what stands still, and start another for each process that is gone."""
        now = time.monotonic()
        for index, child in enumerate(self._children):
            if child.process.is_alive() and now - child.heard > self._still:
                log.error("process_stands_still", role=child.role.name, pid=child.process.pid)
                child.process.kill()
                child.process.join(1)
            if child.process.is_alive():
                continue
            if child.ended is None:
                child.ended = now
                log.error("process_died", role=child.role.name, pid=child.process.pid, exitcode=child.process.exitcode)
            if now >= child.due and not self._stopping:
                self._restart(index, child)

    def _restart(self, index: int, child: Child) -> None:
        is_early = child.ended is not None and child.ended - child.started < LEAST_LIFE
        try:
            self._children[index] = self._start(child.role, child.early + 1 if is_early else 0)
        except OSError as fault:  # no process or descriptor to be had: tried again in the next round
            log.error("process_not_started", role=child.role.name, fault=str(fault))
        else:
            os.close(child.beats)

    def _stop(self) -> None:
        """Ask every process to end, wait, and kill those that do not."""
        self._listener.close()
        for child in self._children:
            child.process.terminate()
        until = time.monotonic() + self._drain
        for child in self._children:
            child.process.join(max(0.0, until - time.monotonic()))
            if child.process.is_alive():
                log.error("process_killed", role=child.role.name, pid=child.process.pid)
                child.process.kill()
                child.process.join(1)
            os.close(child.beats)


def beside(name: str, work: Callable[[], None]) -> Role:
    """Return a role whose work goes on in the main thread, while another thread gives the signs of life.

    A process that is stopped or starved gives none. Work that hangs is not noticed: it must have time limits of its own.
    """

    def run(beat: Beat) -> None:
        threading.Thread(target=_beat_for_ever, args=(beat,), name="beat", daemon=True).start()
        work()

    return Role(name, run)


def _beat_for_ever(beat: Beat) -> None:
    while True:
        beat()
        time.sleep(BEAT_SECONDS)
