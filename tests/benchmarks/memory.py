"""How much memory each process takes for a request of many cards, act by act: server, worker, and the children that read files.

python -m tests.benchmarks.memory CARDS
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from werkzeug.test import EnvironBuilder

from sifilma.documents.tables.writing import write_csv
from tests.benchmarks.table import Line
from tests.dispatch.workers import Worker
from tests.support.servers import running
from tests.support.world import API, Client, World, letter

MOST = 300.0
"""MB that a process may take."""
HEAD = "magetan.kepala"
MB = 1024.0


class Watch:
    """The greatest memory (MB) of each kind of process in some process groups, since the last `begin`."""

    def __init__(self, *groups: int) -> None:
        self._groups = set(groups)
        self._peaks: dict[str, float] = {}
        self._ends = False
        threading.Thread(target=self._look_on, daemon=True).start()

    def begin(self) -> None:
        """Forget the peaks of before, also those that the kernel keeps."""
        for pid in self._processes():
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")
        self._peaks = {}

    def end(self) -> dict[str, float]:
        """Return the peaks."""
        self._look()
        return dict(self._peaks)

    def _processes(self) -> Iterator[int]:
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError):
                if os.getpgid(int(folder.name)) in self._groups:
                    yield int(folder.name)

    def _look(self) -> None:
        for pid in self._processes():
            with contextlib.suppress(OSError, StopIteration):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                status = Path(f"/proc/{pid}/status").read_text().splitlines()
                peak = int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / MB
                kind = "child" if b"reader_child" in command else {group: str(group) for group in self._groups}[os.getpgid(pid)]
                self._peaks[kind] = max(self._peaks.get(kind, 0.0), peak)

    def _look_on(self) -> None:
        while not self._ends:
            self._look()
            time.sleep(0.05)


class Walk:
    """Calls a server over HTTP, and notes the memory and the seconds of each act."""

    def __init__(self, world: World, port: int, server: int) -> None:
        self.world, self._port, self._server = world, port, server
        self.lines: list[Line] = []
        self.begin_worker()

    def begin_worker(self) -> None:
        """Start a worker, in place of one that has kept the memory of what it did before."""
        self.worker = Worker(self.world, SIFILMA_REQUEST_DEADLINE="10")
        self._names = {str(self._server): "server", str(self.worker.pid): "worker", "child": "child that reads"}
        self._watch = Watch(self._server, self.worker.pid)

    def act(self, name: str, call: Callable[[], Any]) -> Any:
        """Run one act, and note it."""
        self._watch.begin()
        began = time.monotonic()
        answer = call()
        took = time.monotonic() - began
        for kind, peak in sorted(self._watch.end().items()):
            self.lines.append(Line(f"{name}: {self._names[kind]}", peak, "MB", MOST, against=f"{took:.1f} s"))
            print(f"{name}: {self._names[kind]} {peak:.0f} MB, {took:.1f} s", flush=True)
        return answer

    def call(self, client: Client, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """Send a request as a client sends it, and return the JSON of the answer."""
        builder = EnvironBuilder(method=method, path=API + path, **more)
        environ = builder.get_environ()
        body, content = environ["wsgi.input"].read(), environ.get("CONTENT_TYPE", "")
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=1200)
        try:
            connection.request(method, API + path, body, client.headers | ({"Content-Type": content} if body else {}))
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        assert answer.status == status, (answer.status, data[:500])
        return json.loads(data) if "json" in (answer.headers.get_content_type() or "") else len(data)

    def wait(self, query: str, seconds: float = 1500, **values: Any) -> None:
        """Wait until a query of the database gives a true value."""
        until = time.monotonic() + seconds
        while not self.world.sql(query, **values)[0][0]:
            if time.monotonic() > until:
                raise TimeoutError(query)
            time.sleep(0.1)


def run(world: World, count: int) -> list[Line]:
    """Walk a request of `count` cards from its draft to its activations."""
    with running(world, SIFILMA_WORKERS="1", SIFILMA_REQUEST_DEADLINE="120", SIFILMA_STILL_SECONDS="600") as server:
        walk = Walk(world, server.port, server.pid)
        try:
            return _walk(walk, count)
        finally:
            walk.worker.kill()


def _walk(walk: Walk, count: int) -> list[Line]:
    world, ended = walk.world, "SELECT state = 'completed' FROM job WHERE id = :id"
    head, operator, approver = (world.client(name) for name in (HEAD, "operator1", "penyetuju1"))
    asked = world.submitted(HEAD, "R", count)["id"]
    world.approve("personalisation-requests", asked, "penyetuju1")
    uids = [f"30{count:06X}{number:08X}" for number in range(count)]
    requests, activations = f"/personalisation-requests/{asked}", "/activation-requests"

    def results() -> None:
        table = write_csv(("sam_uid", "outcome"), [(uid, "personalised") for uid in uids])
        job = walk.call(operator, "POST", f"{requests}/results", 202, data=table, content_type="text/csv")
        walk.wait(ended, id=job["id"])

    walk.act("results by file", results)
    walk.act("the request, whole", lambda: walk.call(operator, "GET", requests))
    body = {"to": str(world.organisation_of(HEAD)), "cards": uids}
    bast = walk.act("BAST", lambda: walk.call(operator, "POST", "/handovers", 201, json=body))["id"]
    walk.act("receipt", lambda: walk.call(head, "POST", f"/handovers/{bast}/receive", json={}))
    stored = "SELECT COUNT(*) = 1 FROM issued_paper"
    walk.act("paper of the BAST", lambda: walk.wait(stored))
    walk.worker.kill()
    walk.begin_worker()
    stated = world.letter() | {"kind": "new", "machines": count, "cards": uids}
    parts = {"request": json.dumps(stated), "letter": (io.BytesIO(letter()), "letter.pdf")}
    made = walk.act("draft", lambda: walk.call(head, "POST", activations, 201, data=parts))["id"]
    digest = walk.act("submission", lambda: walk.call(head, "POST", f"{activations}/{made}/submit", json={}))["digest"]
    walk.act("approval", lambda: walk.call(approver, "POST", f"{activations}/{made}/approve", json={"digest": digest}))
    waits = "SELECT COUNT(*) = :n FROM token WHERE state = 'issued'"
    walk.act("tokens", lambda: walk.wait(waits, n=count))
    shown = walk.act("tokens shown", lambda: walk.call(head, "POST", f"{activations}/{made}/tokens", json={}))
    numbers = _machines(world, count)
    rows = [
        (one["sam_uid"], one["token"], number, -7.6536, 111.328, 10, "device", "Kantor", "35.20.06.1014")
        for one, number in zip(shown["tokens"], numbers, strict=True)
    ]
    header = ("sam_uid", "token", "hardware_number", "latitude", "longitude", "accuracy_m", "source", "address", "region_code")
    file = write_csv(header, rows)

    def activation() -> Any:
        sent = {"file": (io.BytesIO(file), "aktivasi.csv")}
        job = walk.call(head, "POST", "/activations/bulk", 202, data=sent)
        walk.wait(ended, id=job["id"])
        return job

    job = walk.act("activation by file", activation)
    assert world.sql("SELECT COUNT(*) FROM manifest")[0][0] == count
    walk.act("result of the file", lambda: walk.call(head, "GET", f"/jobs/{job['id']}/result"))
    walk.act("the request of activations, whole", lambda: walk.call(head, "GET", f"{activations}/{made}"))
    return walk.lines


def _machines(world: World, count: int, at_once: int = 900) -> list[str]:
    found: list[str] = []
    for start in range(0, count, at_once):
        found += world.units(HEAD, min(at_once, count - start), "LEN-CRD-1", "R")
    return found


def main(cards: int) -> None:
    """Print the table."""
    from tests.benchmarks.__main__ import installation  # it imports all benchmarks
    from tests.benchmarks.table import show

    with installation() as world:
        sys.exit(show(run(world, cards)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
