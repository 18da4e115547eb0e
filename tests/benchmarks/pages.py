"""Measures the main pages of each kind of user in this process; the CPU time includes the test client's."""

from __future__ import annotations

import statistics
import time

from sifilma.app.chores import CHORES
from tests.access.objects import populate
from tests.benchmarks import machine
from tests.benchmarks.table import Line
from tests.support.world import Client, World

COUNT = 50
PEOPLE = ("penyetuju1", "operator1", "auditor1", "admin1", "softorb.kepala", "magetan.kepala", "jatim.kepala", "mandiri.kepala")
PAGES = (
    "/tugas",
    "/kartu",
    "/unit",
    "/personalisasi",
    "/aktivasi",
    "/bast",
    "/manifest",
    "/pemusnahan",
    "/statistik",
    "/cari?q=HW-",
    "/jejak",
)
"""The pages that somebody opens many times a day, besides the home page. Each person opens those that they may."""
BAR = 15.0


def run(world: World) -> list[Line]:
    """Measure the median CPU of each page, scaled to the machine the bars were set on; name the slowest home and the slowest other page."""
    populate(world)
    with world.app.app_context():
        while CHORES["changes of cards added up"].run():  # as a worker has within seconds
            pass
    slow = machine.slowness()
    homes: dict[str, float] = {}
    others: dict[str, float] = {}
    for person in PEOPLE:
        client = world.client(person)
        homes[f"/ of {person}"] = _median(client, "/")
        others |= {f"{path} of {person}": _median(client, path) for path in PAGES if _open(client, path) == 200}
    return [_slowest("home page, the slowest", homes, slow), _slowest(f"{len(others)} other pages, the slowest", others, slow)]


def _slowest(what: str, found: dict[str, float], slow: float) -> Line:
    name = max(found, key=lambda one: found[one])
    return Line(f"{what}, CPU, as on the reference machine", found[name] / slow, "ms", BAR, against=name)


def _median(client: Client, path: str) -> float:
    spent = []
    for _ in range(COUNT):
        before = time.process_time()
        _open(client, path)
        spent.append((time.process_time() - before) * 1000)
    return statistics.median(spent)


def _open(client: Client, path: str) -> int:
    answer = client.open("GET", path, headers=client.headers | {"Accept": "text/html"}, buffered=True)
    return int(answer.status_code)
