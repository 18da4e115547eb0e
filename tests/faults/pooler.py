"""A stand-in for a connection pooler or a network: it forwards to PostgreSQL, and cuts every connection at a moment that a test chooses."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

How = Literal["cut", "crash", "internal", "demoted"]
"""`cut`: the connections end without a word. `crash`, `internal`: first the pooler says that its server crashed, with SQLSTATE 08P01 or
XX000. `demoted`: the connections stay, and each message is answered with SQLSTATE 25006 (read-only transaction).
"""
When = Literal["before", "after"]
"""Whether the server gets the last message, and answers it, before the client is cut off."""
_STATES: dict[How, bytes] = {"crash": b"08P01", "internal": b"XX000", "demoted": b"25006"}
_READY = b"Z\0\0\0\5I"  # ReadyForQuery, idle


@dataclass
class _Plan:
    """What happens with the message of the client that comes when `left` is zero."""

    left: int
    how: How
    when: When


class Pooler:
    """Listens on a socket of its own. Startup and farewell of a connection are not counted as messages."""

    def __init__(self, base: Path, behind: Path) -> None:
        self._base, self._behind = base, behind
        self._plan: _Plan | None = None
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(base / ".s.PGSQL.5432"))
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, url: str) -> str:
        """Return the URL of the same database through this pooler."""
        return url.partition("?")[0] + f"?host={self._base}"

    def fail(self, number: int, how: How, when: When) -> None:
        """Cut all connections at the client's message of this number, counted from now, beginning with 0."""
        self._plan = _Plan(number, how, when)

    @property
    def failed(self) -> bool:
        """Return whether what `fail` asked for has happened; else it is called off."""
        with self._lock:
            done, self._plan = self._plan is None, None
            return done

    def close(self) -> None:
        """Stop listening and end all connections."""
        self._listener.close()
        _cut(self._pairs)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._behind / ".s.PGSQL.5432"))
                self._pairs.append((client, server))
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """Pass messages on until one side ends, or their moment has come. A long message comes in pieces, of which the first counts."""
        answered = True
        with contextlib.suppress(OSError), client, server:
            server.sendall(client.recv(65536))  # startup
            while True:
                readable, _, _ = select.select([client, server], [], [])
                if server in readable:
                    if not (data := server.recv(65536)):
                        return
                    client.sendall(data)
                    answered = True
                if client in readable:
                    if not (data := client.recv(65536)) or (answered and self._now(data, client, server)):
                        return
                    server.sendall(data)
                    answered = False

    def _now(self, data: bytes, client: socket.socket, server: socket.socket) -> bool:
        with self._lock:
            if self._plan is None or data.startswith(b"X"):
                return False
            self._plan.left -= 1
            if self._plan.left >= 0:
                return False
            plan, self._plan = self._plan, None
        present, self._pairs = self._pairs, []  # not those that the client makes when it is told
        if plan.when == "after":
            _answer(data, client, server)
        if plan.how in _STATES:
            client.sendall(_error(_STATES[plan.how]))
        if plan.how == "demoted":
            client.sendall(_READY)
            _refuse_all(client)
        _cut(present)
        return True


def _answer(data: bytes, client: socket.socket, server: socket.socket) -> None:
    """Give the server the whole message and wait for its answer, which nobody gets. `data` may be the first piece alone."""
    server.sendall(data)
    while server not in (readable := select.select([client, server], [], [])[0]):
        server.sendall(readable[0].recv(65536))
    server.recv(65536)


def _refuse_all(client: socket.socket) -> None:
    """Answer every message with the same error, until the client gives the connection up."""
    while (data := client.recv(65536)) and not data.startswith(b"X"):
        client.sendall(_error(_STATES["demoted"]) + _READY)


def _cut(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    for side in (side for pair in pairs for side in pair):
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


def _error(state: bytes) -> bytes:
    """Return the message ErrorResponse of PostgreSQL's protocol."""
    fields = b"SFATAL\0VFATAL\0C" + state + b"\0Mserver conn crashed?\0\0"
    return b"E" + struct.pack("!I", len(fields) + 4) + fields


@contextmanager
def pooler_before(behind: Path) -> Iterator[Pooler]:
    """Yield a pooler before the server whose socket lies in this folder."""
    with tempfile.TemporaryDirectory(prefix="sif-pool-") as folder:
        pooler = Pooler(Path(folder), behind)
        try:
            yield pooler
        finally:
            pooler.close()
